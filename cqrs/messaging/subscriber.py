"""The loop between the consumer and the handlers: each record settled, in order, before its offset may move."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cqrs.exceptions import DependencyUnavailableException, is_retryable, message_of
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import Delivery, DeliveryHandler
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import Consumer
from cqrs.messaging.progress import Progress

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How long one poll waits, and so the longest time a stop goes unnoticed by an idle subscriber."""

LAST_COMMIT_SECONDS = 2.0
"""How long the commit of a loop may take that was cut off at the end of its budget."""


class Subscriber:
    """Read messages, settle each one through the handler, and commit behind them.

    A delivery that raises is not settled: it waits and is tried again, and no later record of any partition passes it.
    So nothing is lost whatever is away, and SIGTERM leaves such a record to the next member.

    Args:
        consumer: Where records come from.
        handle: The folded middleware around the dispatcher.
        backoff: How long an unsettled delivery waits.
        commit_seconds: The longest time that progress stays uncommitted while records flow.
        drain_seconds: How long a revoked partition waits for the record in hand.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        consumer: Consumer,
        handle: DeliveryHandler,
        *,
        backoff: Backoff,
        commit_seconds: float = 1.0,
        drain_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._handle = handle
        self._backoff = backoff
        self._commit_seconds = commit_seconds
        self._drain_seconds = drain_seconds
        self._clock = clock
        self._progress = Progress()
        self._stopping = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._in_hand: TopicPartition | None = None
        self._last_commit = clock()
        self.assigned = asyncio.Event()
        self.waiting_for: str | None = None

    async def run(self) -> None:
        """Consume until `stop` is called; then commit what is settled and leave the group."""
        try:
            if await self._started():
                while not self._stopping.is_set():
                    await self._consume_once()
                await self._commit_at_last()
        finally:
            await self._leave()

    def stop(self) -> None:
        """Ask the loop to end behind the record in hand."""
        self._stopping.set()
        self._interrupted.set()

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Begin a new epoch for these partitions."""
        self._progress.assign(committed)
        self.assigned.set()
        logger.info("assigned %s", _names(frozenset(committed)))

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Wait for the record in hand if it is of `partitions`, commit their progress and forget them."""
        self._progress.fence(partitions)
        self._interrupted.set()
        if self._in_hand in partitions:
            await self._rest()
        await self._commit(self._progress.uncommitted(partitions))
        self._progress.revoke(partitions)
        logger.info("revoked %s", _names(partitions))

    async def _started(self) -> bool:
        attempt = 0
        while not self._stopping.is_set():
            try:
                await self._consumer.start(self)
            except DependencyUnavailableException as error:
                await self._wait(attempt, error, "joining the group is held")
                attempt += 1
            else:
                self.waiting_for = None
                return True
        return False

    async def _consume_once(self) -> None:
        try:
            messages = await self._consumer.poll(POLL_SECONDS)
        except DependencyUnavailableException as error:
            await self._wait(0, error, "consuming is held")
            return
        epochs = [self._progress.epoch(TopicPartition(each.topic, each.partition)) for each in messages]
        await self._settle_all(messages, epochs)
        if not messages or self._clock() - self._last_commit >= self._commit_seconds:
            await self._commit(self._progress.uncommitted())

    async def _settle_all(self, messages: Sequence[Message], epochs: Sequence[int | None]) -> None:
        for message, epoch in zip(messages, epochs, strict=True):
            partition = TopicPartition(message.topic, message.partition)
            if self._stopping.is_set():
                return
            if epoch is not None:  # else it was revoked while it was read: its new owner reads it again
                await self._settle(message, partition, epoch)
            if self._clock() - self._last_commit >= self._commit_seconds:
                await self._commit(self._progress.uncommitted())

    async def _settle(self, message: Message, partition: TopicPartition, epoch: int) -> None:
        envelope = read_envelope(message)
        attempt = 0
        while self._progress.may_start(partition, epoch):
            error = await self._try(Delivery(message, envelope, attempt), partition)
            if error is None:
                self._progress.finish(message, epoch)
                self.waiting_for = None
                return
            await self._commit(self._progress.uncommitted())  # what came before must not wait with it
            await self._wait(attempt, error, f"{message.place} is held")
            if self._stopping.is_set():
                return
            attempt += 1

    async def _try(self, delivery: Delivery, partition: TopicPartition) -> Exception | None:
        self._in_hand = partition
        self._at_rest.clear()
        try:
            await self._handle(delivery)
        except Exception as error:  # noqa: BLE001 - whatever it is, the record must not be passed
            return error
        finally:
            self._in_hand = None
            self._at_rest.set()
        return None

    async def _wait(self, attempt: int, error: Exception, what: str) -> None:
        seconds = self._backoff.delay(attempt)
        self.waiting_for = message_of(error)
        unexpected = None if is_retryable(error) else error
        logger.warning("%s for %.1f s: %s", what, seconds, self.waiting_for, exc_info=unexpected)
        if not self._stopping.is_set():
            self._interrupted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._interrupted.wait()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._at_rest.wait()
        except TimeoutError:
            logger.warning(
                "the record in hand did not finish within %.1f s; its new owner repeats it", self._drain_seconds
            )

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        self._last_commit = self._clock()
        if not offsets:
            return
        try:
            await self._consumer.commit({partition: Position(offset) for partition, offset in offsets.items()})
        except DependencyUnavailableException as error:
            logger.warning("offsets are not committed yet: %s", error)
            return
        self._progress.committed(offsets)

    async def _commit_at_last(self) -> None:
        """Commit before leaving, trying again while the broker hesitates; the caller's budget bounds it."""
        attempt = 0
        while offsets := self._progress.uncommitted():
            await self._commit(offsets)
            if self._progress.uncommitted():
                await asyncio.sleep(self._backoff.delay(attempt))
                attempt += 1

    async def _leave(self) -> None:
        """Commit once more what a cancelled loop has settled, and leave the group, whatever becomes of the commit."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_COMMIT_SECONDS):
                    await self._commit(self._progress.uncommitted())
        finally:
            await self._consumer.stop()


def _names(partitions: frozenset[TopicPartition]) -> str:
    return ", ".join(sorted(f"{each.topic}[{each.partition}]" for each in partitions)) or "nothing"
