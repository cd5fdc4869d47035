"""Put around a service, or around single ports: somebody is told whenever a command passes a crash point."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TypeVar

from cqrs.command.handler import CommandHandler
from cqrs.command.lifecycle import overrides
from cqrs.command.unit_of_work import UnitOfWork
from cqrs.messaging.message import Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.ports import Consumer, LogEnd, Producer, RebalanceListener
from cqrs.testing.crash_points import CrashPoint, Tell
from cqrs.threads import in_thread
from cqrs.wrapping import Wrapping

T = TypeVar("T")

_ENTRIES = ("handle_with_context", "handle", "do_handle_with_context", "do_handle")

TURNS = 8
"""So often the event loop turns after a message was handed over. Measured: aiokafka writes it to a connection that is
open in the fifth turn, and the embedded broker answers in the twelfth."""


class Passages(Wrapping):
    """Tell of every passage of a crash point.

    It goes around services by `cqrs.wrapping.wrapped`; its methods also go around single ports, those in memory too.

    Args:
        tell: Is told: a `CrashAt`, the `note` of a `FaultPlan`, or a function of the test.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def consumer(self, consumer: Consumer) -> Consumer:
        """Tell of polls that return records, commits, and partitions that are taken away."""
        return _ToldConsumer(consumer, self.passed)

    def event_producer(self, producer: Producer) -> Producer:
        """Tell of events that are sent and acknowledged."""
        return _ToldProducer(producer, self.passed, CrashPoint.SENT, CrashPoint.ACKED)

    def letter_producer(self, producer: Producer) -> Producer:
        """Tell of dead letters that are sent and acknowledged."""
        return _ToldProducer(producer, self.passed, CrashPoint.DEAD_LETTER_SENT, CrashPoint.DEAD_LETTER_ACKED)

    def unit_of_work(self, unit_of_work: UnitOfWork) -> UnitOfWork:
        """Tell of commits of the state; a savepoint is none."""
        return _ToldUnitOfWork(unit_of_work, self.passed)

    def handler(self, bean: object) -> object:
        """Tell of what calls a command's handler, and of its return."""
        if isinstance(bean, CommandHandler):
            inside: ContextVar[bool] = ContextVar("inside_handler", default=False)
            for name in [each for each in _ENTRIES if overrides(bean, each)]:
                object.__setattr__(bean, name, self._around(getattr(bean, name), inside))
        return bean

    async def draining(self) -> None:
        """Tell of a stop."""
        await self.passed(CrashPoint.MID_DRAIN)

    async def passed(self, point: CrashPoint) -> None:
        """Tell of a passage of `point`."""
        told = self._tell(point)
        if told is not None:
            await told

    def _around(self, act: Callable[..., object], inside: ContextVar[bool]) -> Callable[..., object]:
        """Return `act` between its two points; others of its handler that it calls pass none, and are as they were."""

        @wraps(act)
        async def between(*arguments: object) -> object:
            if inside.get():
                return await _result_of(act, *arguments)
            token = inside.set(True)
            try:
                await self.passed(CrashPoint.BEFORE_HANDLER)
                result = await _result_of(act, *arguments)
                await self.passed(CrashPoint.AFTER_HANDLER)
            finally:
                inside.reset(token)
            return result

        @wraps(act)
        def plainly(*arguments: object) -> object:
            return act(*arguments) if inside.get() else between(*arguments)

        return between if inspect.iscoroutinefunction(act) else plainly


Passed = Callable[[CrashPoint], Awaitable[None]]


class _ToldProducer:
    def __init__(self, producer: Producer, passed: Passed, sent: CrashPoint, acked: CrashPoint) -> None:
        self._producer = producer
        self._passed = passed
        self._sent = sent
        self._acked = acked

    async def send(self, message: OutgoingMessage) -> Receipt:
        receipt = await _amid(self._producer.send(message), lambda: self._passed(self._sent))
        await self._passed(self._acked)
        return receipt


class _ToldConsumer:
    def __init__(self, consumer: Consumer, passed: Passed) -> None:
        self._consumer = consumer
        self._passed = passed

    async def start(self, listener: RebalanceListener) -> None:
        await self._consumer.start(_ToldListener(listener, self._passed))

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        messages = await self._consumer.poll(timeout_seconds, partitions, max_records)
        if messages:
            await self._passed(CrashPoint.POLLED)
        return messages

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        await self._passed(CrashPoint.BEFORE_OFFSET_COMMIT)
        lost = await self._consumer.commit(positions)
        await self._passed(CrashPoint.AFTER_OFFSET_COMMIT)
        return lost

    def log_ends(self) -> Mapping[TopicPartition, LogEnd]:
        return self._consumer.log_ends()

    async def stop(self) -> None:
        await self._consumer.stop()


class _ToldListener:
    def __init__(self, listener: RebalanceListener, passed: Passed) -> None:
        self._listener = listener
        self._passed = passed

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        await self._listener.on_assigned(committed)

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await _amid(self._listener.on_revoked(partitions), lambda: self._passed(CrashPoint.MID_REBALANCE), turns=1)


class _ToldUnitOfWork:
    def __init__(self, unit_of_work: UnitOfWork, passed: Passed) -> None:
        self._unit_of_work = unit_of_work
        self._passed = passed
        self._is_open: ContextVar[bool] = ContextVar("unit_of_work_is_open", default=False)

    def begin(self) -> AbstractAsyncContextManager[None]:
        return self._unit_of_work.begin() if self._is_open.get() else self._outermost()

    async def prepare(self) -> None:
        await self._unit_of_work.prepare()

    @asynccontextmanager
    async def _outermost(self) -> AsyncIterator[None]:
        token = self._is_open.set(True)
        try:
            async with self._unit_of_work.begin():
                yield
                await self._passed(CrashPoint.BEFORE_STATE_COMMIT)
        finally:
            self._is_open.reset(token)
        await self._passed(CrashPoint.AFTER_STATE_COMMIT)


async def _amid(work: Coroutine[object, object, T], tell: Callable[[], Awaitable[None]], turns: int = TURNS) -> T:
    """Tell once `work` has begun, at the latest when it has ended, and return its result."""
    task = asyncio.create_task(work)
    try:
        for _ in range(turns):
            if task.done():
                break
            await asyncio.sleep(0)
        await tell()
        return await task
    finally:
        task.cancel()


async def _result_of(act: Callable[..., object], *arguments: object) -> object:
    """Call a handler's method as a command bus does: a plain function runs in a thread."""
    if inspect.iscoroutinefunction(act):
        return await act(*arguments)
    outcome = await in_thread(act, *arguments)
    return await outcome if inspect.isawaitable(outcome) else outcome
