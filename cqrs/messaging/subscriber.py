"""One member of a consumer group: it reads, has each record settled in its lane, and commits behind what is done."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from cqrs.exceptions import DependencyUnavailableException, message_of
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.committer import Committer
from cqrs.messaging.delivery import Delivery, DeliveryHandler
from cqrs.messaging.gauges import Standing
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import Consumer
from cqrs.messaging.progress import Progress
from cqrs.messaging.room import Limits, Room, room_for_more
from cqrs.messaging.workers import Workers

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How long one poll waits, and so the longest time a stop goes unnoticed by an idle subscriber."""

SHORT_POLL_SECONDS = 0.02
"""How long it waits while a partition whose records flow has no room: that may change at any moment."""

TELL_SECONDS = 10.0
"""How often the log says that the broker is still away."""

LAST_COMMIT_SECONDS = 2.0
"""How long the commit of a loop may take that was cut off at the end of its budget."""


class Subscriber:
    """Read records, settle each one through the handler in the lane of its key, and commit behind them.

    Records of one key run in order, those of different keys side by side. Nothing is committed over a record that is
    not done; what is done beyond it travels in the commit's metadata.

    Args:
        consumer: Where records come from.
        handle: The folded middleware around the dispatcher.
        progress: What is done of the assigned partitions.
        limits: How much is taken on at once.
        backoff: How long a poll waits that failed, and a record that failed for no known reason.
        commit_seconds: The longest time that a finished record stays uncommitted.
        commit_records: The most records that stay so.
        drain_seconds: How long partitions that are taken away wait for records in hand.
        clock: Seconds that only grow.

    Attributes:
        assigned: Set while the group has told this member its partitions.
    """

    def __init__(
        self,
        consumer: Consumer,
        handle: DeliveryHandler,
        *,
        backoff: Backoff,
        progress: Progress | None = None,
        limits: Limits | None = None,
        commit_seconds: float = 1.0,
        commit_records: int = 1_000,
        drain_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._backoff = backoff
        self._progress = progress or Progress()
        self._limits = limits or Limits()
        self._drain_seconds = drain_seconds
        self._clock = clock
        self._workers = Workers(
            handle, count=self._limits.max_in_flight, backoff=backoff, on_finished=self._on_finished, clock=clock
        )
        self._committer = Committer(
            consumer, self._progress, seconds=commit_seconds, records=commit_records, on_lost=self._workers.abandon
        )
        self._stopping = asyncio.Event()
        self._room = asyncio.Event()
        self._awaited = 0
        self._rebalances = 0
        self._turned_at: float | None = None
        self._broker_away: str | None = None
        self._told_at = -math.inf
        self.assigned = asyncio.Event()

    @property
    def waiting_for(self) -> str | None:
        """Return what is away, as a sentence, or None when nothing is waited for."""
        return self._broker_away or self._workers.outages.reason

    @property
    def silence_seconds(self) -> float:
        """Return how long ago the consuming loop turned last; 0 before it has joined. From any thread."""
        return 0.0 if self._turned_at is None else self._clock() - self._turned_at

    @property
    def standing(self) -> Standing:
        """Return where this member stands; from any thread."""
        return Standing(
            list(self._progress.partitions),
            self._limits,
            self._workers.in_flight,
            self._workers.waiting,
            self._workers.outages.waiting,
            self._committer.uncommitted_since,
            self._rebalances,
            self._consumer.log_ends(),
        )

    async def run(self) -> None:
        """Consume until `stop` is called; then finish what was started, commit it and leave the group.

        Raises:
            Exception: a worker or the committing ended by itself, which is a defect.
        """
        self._workers.start()
        committing = asyncio.create_task(self._committer.run(), name="committing")
        try:
            if await self._started():
                while not self._stopping.is_set():
                    self._require_alive(committing)
                    await self._consume_once()
                await self._workers.drain(list(self._progress.partitions), None)
                await self._commit_at_last()
        finally:
            await self._leave(committing)

    def stop(self) -> None:
        """Ask the loop to end behind the records in hand."""
        for partition in self._progress.partitions:
            self._workers.fence(partition)
        self._stopping.set()
        self._room.set()

    def in_hand(self, task: asyncio.Task[None]) -> Delivery | None:
        """Return what a worker's task has in hand, or None; may be called from another thread."""
        return self._workers.in_hand(task)

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Begin a new epoch for these partitions, at what was committed for them."""
        self._progress.assign(committed)
        self._rebalances += 1
        self.assigned.set()
        logger.info("assigned %s", _names(committed))

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Finish what was started of `partitions`, commit it and forget them."""
        self.assigned.clear()
        try:
            until = self._clock() + self._drain_seconds
            await self._workers.drain(self._progress.chosen(partitions), self._drain_seconds)
            attempt = 0
            while not await self._committer.commit() and self._clock() < until:
                await asyncio.sleep(self._backoff.delay(attempt))
                attempt += 1
        finally:
            self._progress.revoke(partitions)
            logger.info("revoked %s", _names(partitions))

    async def _started(self) -> bool:
        attempt = 0
        while not self._stopping.is_set():
            try:
                if not await self._join():
                    return False
            except DependencyUnavailableException as error:
                await self._wait(attempt, error, "joining the group is held")
                attempt += 1
            else:
                self._broker_away = None
                return True
        return False

    async def _join(self) -> bool:
        """Join the group; return False when a stop came first."""
        joining = asyncio.create_task(self._consumer.start(self))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not joining.done():
                joining.cancel()
                await asyncio.wait({joining}, timeout=LAST_COMMIT_SECONDS)
        if joining.done() and not joining.cancelled():
            joining.result()
            return True
        return False

    async def _consume_once(self) -> None:
        self._turned_at = self._clock()
        room = room_for_more(list(self._progress.partitions), self._limits)
        try:
            messages = await self._poll(room)
        except DependencyUnavailableException as error:
            await self._wait(0, error, "consuming is held")
            return
        if self._broker_away is not None:
            self._broker_away, self._told_at = None, -math.inf
            logger.info("consuming goes on")
        for message in messages:
            self._take_up(message)

    async def _poll(self, room: Room) -> Sequence[Message]:
        if room.partitions != ():
            seconds = SHORT_POLL_SECONDS if room.is_short else POLL_SECONDS
            return await self._consumer.poll(seconds, room.partitions, room.records)
        self._room.clear()
        self._awaited = max(self._limits.buffer // 4, 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._room.wait()
        return await self._consumer.poll(0.0, ())

    def _take_up(self, message: Message) -> None:
        partition = self._progress.of(message)
        if partition is None:
            return  # revoked while it was read: its new owner reads it again
        highest = partition.watermark.highest
        if highest is not None and message.offset <= highest:
            # A leader that was elected without all records goes back in time; what is read now is new.
            logger.error("%s was read before: the partition's log was cut, and begins a new epoch here", message.place)
            self._workers.fence(partition)
            partition = self._progress.begin_again(partition)
        lane = partition.add(message)
        if lane is not None:
            self._workers.offer(lane)
        elif partition.unsaved:
            self._committer.count()

    def _on_finished(self) -> None:
        self._committer.count()
        self._awaited -= 1
        if self._awaited <= 0 or self._workers.is_idle:
            self._room.set()

    async def _wait(self, attempt: int, error: Exception, what: str) -> None:
        seconds = self._backoff.delay(attempt)
        now = self._clock()
        self._broker_away = message_of(error)
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            logger.warning("%s: %s", what, self._broker_away)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _commit_at_last(self) -> None:
        """Commit before leaving, trying again while the broker hesitates; the caller's budget bounds it."""
        attempt = 0
        while not await self._committer.commit():
            await asyncio.sleep(self._backoff.delay(attempt))
            attempt += 1

    def _require_alive(self, committing: asyncio.Task[None]) -> None:
        self._workers.require_alive()
        if committing.done():
            committing.result()

    async def _leave(self, committing: asyncio.Task[None]) -> None:
        """Commit once more what a cancelled loop has settled, and leave the group, whatever becomes of the commit."""
        try:
            await self._workers.stop()
            committing.cancel()
            await asyncio.wait({committing})
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_COMMIT_SECONDS):
                    await self._committer.commit()
        finally:
            await self._consumer.stop()


def _names(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(sorted(f"{each.topic}[{each.partition}]" for each in partitions)) or "nothing"
