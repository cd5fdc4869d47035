"""Every part of a service that is wrapped tells of the points it stands for, in their order, and does its work."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import command_handler
from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.testing.crash_points import CrashAt, CrashPoint
from cqrs.testing.deployment import Deployed
from cqrs.testing.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from cqrs.testing.passages import Passages
from cqrs.types import Command
from cqrs.wrapping import wrapped
from service.bootstrap import order_service
from tests.scenario.deployment import settings_in

ONE = OutgoingMessage("t", b"k", b"v")
AT = TopicPartition("t", 0)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def passages(told: list[str]) -> Passages:
    return Passages(told.append)


@pytest.mark.asyncio
async def test_a_service_passes_every_point_of_a_command_in_order(tmp_path: Path, told: list[str]) -> None:
    done = asyncio.Event()

    def tell(point: CrashPoint) -> None:
        told.append(point)
        if point is CrashPoint.AFTER_OFFSET_COMMIT:
            done.set()

    with wrapped(Passages(tell)):
        service = order_service(settings_in(tmp_path, commit_interval_ms=10))
    async with Deployed(service) as deployed:
        item = {"sku": "A", "quantity": 1, "unit_price": "1.00"}
        order = {"order_id": "o-1", "customer_id": "c", "items": [item], "currency": "EUR"}
        deployed.client.send_json("orders.commands", order, type_name="orders.CreateOrder", key="o-1")
        await asyncio.wait_for(done.wait(), 20)

    elsewhere = {CrashPoint.DEAD_LETTER_SENT, CrashPoint.DEAD_LETTER_ACKED, CrashPoint.MID_REBALANCE}
    assert told == [each for each in CrashPoint if each not in elsewhere]


@pytest.mark.asyncio
async def test_outside_of_the_block_nothing_is_wrapped(tmp_path: Path, told: list[str], passages: Passages) -> None:
    with wrapped(passages):
        pass

    async with Deployed(order_service(settings_in(tmp_path))):
        pass

    assert not told


@pytest.mark.asyncio
async def test_a_producer_tells_of_both_and_stores_the_message(told: list[str], passages: Passages) -> None:
    broker = MemoryBroker({"t": 1})

    for producer in (
        passages.event_producer(MemoryProducer(broker)),
        passages.letter_producer(MemoryProducer(broker)),
    ):
        await producer.send(ONE)

    assert told == ["sent", "acked", "dead_letter_sent", "dead_letter_acked"]
    assert len(broker.messages("t")) == 2


@pytest.mark.asyncio
async def test_what_is_not_acknowledged_passes_no_acknowledgement(told: list[str], passages: Passages) -> None:
    inner = MemoryProducer(MemoryBroker({"t": 1}))
    inner.failures = [DependencyUnavailableException("kafka", "away")]

    with pytest.raises(DependencyUnavailableException, match="away"):
        await passages.event_producer(inner).send(ONE)

    assert told == ["sent"]


@pytest.mark.asyncio
async def test_a_message_is_stored_before_its_acknowledgement_is_told() -> None:
    broker = MemoryBroker({"t": 1})
    stored: list[int] = []
    crash = CrashAt("acked", do=lambda: stored.append(len(broker.messages("t"))))

    await Passages(crash).event_producer(MemoryProducer(broker)).send(ONE)

    assert stored == [1]


@pytest.mark.asyncio
async def test_what_is_raised_at_a_point_is_raised_there_and_a_message_on_its_way_is_given_up() -> None:
    broker = MemoryBroker({"t": 1})

    class Held:
        async def send(self, message: OutgoingMessage) -> None:
            await asyncio.Event().wait()

    def refuse() -> None:
        raise DependencyUnavailableException("kafka", "on purpose")

    producer = Passages(CrashAt("sent", do=refuse)).event_producer(Held())  # type: ignore[arg-type]
    with pytest.raises(DependencyUnavailableException, match="on purpose"):
        await producer.send(ONE)

    assert broker.messages("t") == []


@pytest.mark.asyncio
async def test_a_point_may_be_held_open() -> None:
    broker, reached, gate = MemoryBroker({"t": 1}), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await gate.wait()

    sending = asyncio.create_task(Passages(CrashAt("acked", do=wait)).event_producer(MemoryProducer(broker)).send(ONE))
    await reached.wait()
    assert not sending.done()
    gate.set()
    assert (await sending).offset == 0


class Listener:
    def __init__(self, told: list[str]) -> None:
        self.told = told

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.told.append("assigned")

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.told.append("revoking")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.told.append("revoked")


@pytest.mark.asyncio
async def test_a_consumer_tells_of_records_commits_and_partitions_that_go(told: list[str], passages: Passages) -> None:
    broker = MemoryBroker({"t": 1})
    await broker.append(ONE)
    inner = MemoryConsumer(broker, ["t"])
    consumer = passages.consumer(inner)

    await consumer.start(Listener(told))
    assert [each.value for each in await consumer.poll(0.01)] == [b"v"]
    assert await consumer.poll(0.0) == []
    await consumer.commit({AT: Position(1)})
    await inner.reassign(frozenset({AT}))
    await consumer.stop()

    assert broker.committed == {AT: Position(1)}
    assert told == [
        "assigned",
        "polled",
        "before_offset_commit",
        "after_offset_commit",
        *("revoking", "mid_rebalance", "revoked"),
        "assigned",
    ]
    assert inner.stopped


class Unit:
    def __init__(self, told: list[str]) -> None:
        self.told = told

    def begin(self) -> AbstractAsyncContextManager[None]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[None]:
        yield
        self.told.append("committed")

    async def prepare(self) -> None:
        self.told.append("prepared")


@pytest.mark.asyncio
async def test_a_unit_of_work_tells_of_its_commit_and_of_no_savepoint(told: list[str], passages: Passages) -> None:
    unit = passages.unit_of_work(Unit(told))

    async with unit.begin():
        async with unit.begin():
            pass
        told.append("after the savepoint")
        await unit.prepare()

    assert told[:3] == ["committed", "after the savepoint", "prepared"]
    assert told[3:] == ["before_state_commit", "committed", "after_state_commit"]


@pytest.mark.asyncio
async def test_a_unit_of_work_that_is_rolled_back_passes_neither(told: list[str], passages: Passages) -> None:
    unit = passages.unit_of_work(Unit(told))

    with pytest.raises(LookupError):
        async with unit.begin():
            raise LookupError

    assert told == []


@dataclass(frozen=True)
class Ask(Command[str]):
    what: str = ""


@command_handler
class Plain(CommandHandler[Ask, str]):
    def do_handle(self, command: Ask) -> str:  # type: ignore[override]  # a plain function runs in a thread
        return threading.current_thread().name


@command_handler
class Contextual(CommandHandler[Ask, str]):
    async def do_handle(self, command: Ask) -> str:
        return f"{command.what} by itself"

    async def do_handle_with_context(self, command: Ask, context: ExecutionContext) -> str:
        return await self.do_handle(command)


@command_handler
class PlainContextual(CommandHandler[Ask, str]):
    def do_handle(self, command: Ask) -> str:  # type: ignore[override]  # a plain function runs in a thread
        return f"{command.what} by itself"

    def do_handle_with_context(self, command: Ask, context: ExecutionContext) -> str:  # type: ignore[override]
        return self.do_handle(command).upper()


@command_handler
class Failing(CommandHandler[Ask, str]):
    async def do_handle(self, command: Ask) -> str:
        raise LookupError("no")


def bus_of(passages: Passages, handler: object) -> DefaultCommandBus:
    registry = HandlerRegistry()
    registry.discover_from_beans([passages.handler(handler)])
    return DefaultCommandBus(registry)


@pytest.mark.asyncio
async def test_a_handler_without_async_still_runs_in_a_thread(told: list[str], passages: Passages) -> None:
    assert await bus_of(passages, Plain()).send(Ask()) != threading.main_thread().name
    assert told == ["before_handler", "after_handler"]


@pytest.mark.asyncio
async def test_a_handler_that_calls_its_own_methods_passes_once(told: list[str], passages: Passages) -> None:
    bus = bus_of(passages, Contextual())

    assert await bus.send(Ask("done")) == "done by itself"
    assert await bus.send_with_context(Ask("done"), DefaultExecutionContext()) == "done by itself"
    assert told == ["before_handler", "after_handler"] * 2


@pytest.mark.asyncio
async def test_a_handler_without_async_gets_from_its_own_methods_what_they_return(
    told: list[str], passages: Passages
) -> None:
    bus = bus_of(passages, PlainContextual())

    assert await bus.send(Ask("done")) == "done by itself"
    assert await bus.send_with_context(Ask("done"), DefaultExecutionContext()) == "DONE BY ITSELF"
    assert told == ["before_handler", "after_handler"] * 2


@pytest.mark.asyncio
async def test_a_handler_that_fails_does_not_come_to_its_end(told: list[str], passages: Passages) -> None:
    with pytest.raises(Exception, match="no"):
        await bus_of(passages, Failing()).send(Ask())

    assert told == ["before_handler"]


def test_what_is_no_handler_of_commands_stays_as_it_is(passages: Passages) -> None:
    bean = object()

    assert passages.handler(bean) is bean
