"""Long-lived workers that take ready lanes, each the first record of one, and settle what is there."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from cqrs.exceptions import CqrsException, DependencyUnavailableException, message_of
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import Delivery, DeliveryHandler, TryAgainException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.isolation import AbruptEndException, OwnContext
from cqrs.messaging.lanes import AssignedPartition, Entry, Lane, LaneState
from cqrs.messaging.outages import Outages
from cqrs.messaging.ready_lanes import ReadyLanes
from cqrs.messaging.waiting import WaitingLanes

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.005
"""How long a worker goes on with records that wait for nothing before it lets the event loop turn."""

ABANDON_SECONDS = 2.0
"""How long a handler that was cancelled may take to end."""


class Workers:
    """Settle the records of ready lanes, so many at once.

    A record that is to be tried again leaves its worker and waits with the records of its key behind it; the worker
    takes another lane.

    Args:
        handle: The folded middleware around the dispatcher.
        count: How many records are in work at once.
        backoff: How long a record waits that failed for no reason that anybody knows.
        on_finished: Called after each record that is done.
        clock: Seconds that only grow.

    Attributes:
        outages: What records wait for that is away.
    """

    def __init__(
        self,
        handle: DeliveryHandler,
        *,
        count: int,
        backoff: Backoff,
        on_finished: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handle = handle
        self._count = count
        self._backoff = backoff
        self._on_finished = on_finished
        self._clock = clock
        self._ready = ReadyLanes()
        self._waiting = WaitingLanes(clock)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._at_work: dict[asyncio.Task[None], Lane] = {}
        self._is_stopping = False
        self._changed = asyncio.Event()
        self.outages = Outages()

    @property
    def is_idle(self) -> bool:
        """Say whether no lane is ready."""
        return not self._ready.lanes

    @property
    def in_flight(self) -> int:
        """Return how many records are in work; from any thread."""
        return len(self._at_work)

    @property
    def waiting(self) -> int:
        """Return how many records wait for another try; from any thread."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the workers."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker-{number}") for number in range(self._count)]

    async def stop(self) -> None:
        """End the workers, whatever they have in hand."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=ABANDON_SECONDS)
            if stubborn:
                logger.error("%d handlers go on although they were cancelled", len(stubborn))

    def require_alive(self) -> None:
        """Raise what ended a worker: that is a defect, and its lane would stand still for ever."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    def offer(self, lane: Lane) -> None:
        """Have the first record of `lane` settled."""
        self._ready.put(lane)

    def in_hand(self, task: asyncio.Task[None]) -> Delivery | None:
        """Return what the worker that runs as `task` has in hand, or None; may be called from another thread."""
        lane = self._at_work.get(task)
        try:
            return None if lane is None else _delivery_of(lane.entries[0])
        except IndexError:  # it ended just now
            return None

    async def drain(self, partitions: Collection[AssignedPartition], seconds: float | None) -> None:
        """Finish what was started of `partitions` and what lies below it, and let go of the rest.

        What is still in hand after `seconds` is cancelled: from then on another member may run it.
        """
        for partition in partitions:
            self.fence(partition)
        try:
            async with asyncio.timeout(seconds):
                await self._rest(partitions)
        except TimeoutError:
            await self._abandon_late(partitions, seconds)

    def abandon(self, partitions: Collection[AssignedPartition]) -> None:
        """Let go of everything of `partitions`, and cancel what is in hand: another member may be at it already."""
        for partition in partitions:
            self.fence(partition)
            self._give_up(partition)
        for task, lane in self._in_hand_of(partitions).items():
            lane.is_abandoned = True
            task.cancel()
        self._changed.set()

    def fence(self, partition: AssignedPartition) -> None:
        """Let go of what need not be finished of `partition`; see `AssignedPartition.fence`."""
        self._let_wait_no_more(partition.waiting_lanes())
        partition.fence()

    async def _rest(self, partitions: Collection[AssignedPartition]) -> None:
        while not all(each.is_at_rest for each in partitions):
            self._changed.clear()
            await self._changed.wait()

    def _in_hand_of(self, partitions: Collection[AssignedPartition]) -> dict[asyncio.Task[None], Lane]:
        return {task: lane for task, lane in self._at_work.items() if lane.partition in partitions}

    async def _abandon_late(self, partitions: Collection[AssignedPartition], seconds: float | None) -> None:
        late = self._in_hand_of(partitions).values()
        places = ", ".join(sorted(lane.entries[0].message.place for lane in late if lane.entries))
        logger.warning("not done within %g s, left to the next owner: %s", seconds or 0, places or "what was not begun")
        self.abandon(partitions)
        try:
            async with asyncio.timeout(ABANDON_SECONDS):
                await self._rest(partitions)
        except TimeoutError:
            logger.error("%s: goes on although it was cancelled", places)  # noqa: TRY400 - no traceback of interest

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has a task
        lanes = self._ready.lanes
        turned = self._clock()
        while not self._is_stopping:
            try:
                lane = lanes.popleft() if lanes else await self._ready.get()
                entry = lane.partition.start(lane)
                if entry is None:
                    continue
                self._at_work[task] = lane
                await self._settle(lane, entry)
                del self._at_work[task]
                if task.cancelling():
                    await _forget_cancellation(task)
                if self._clock() - turned > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turned = self._clock()
            except asyncio.CancelledError:
                # Of the stop, or because its lane was abandoned: then the worker goes on with others.
                self._drop(self._at_work.pop(task, None))
                await _forget_cancellation(task)

    async def _settle(self, lane: Lane, entry: Entry) -> None:
        delivery = _delivery_of(entry)
        try:
            await OwnContext(self._handle(delivery))
        except TryAgainException as again:
            self._wait(lane, entry, delivery, again)
        except AbruptEndException as error:
            self._wait(lane, entry, delivery, TryAgainException(0.0, error, refusal=error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the record must not be passed
            self._wait(lane, entry, delivery, self._unexpected(delivery, error))
        except asyncio.CancelledError as error:
            if self._is_stopping or lane.is_abandoned:
                raise
            refusal = _CancelledHandlerException(error)
            self._wait(lane, entry, delivery, TryAgainException(0.0, refusal, refusal=refusal))
        else:
            self._finish(lane, entry)

    def _finish(self, lane: Lane, entry: Entry) -> None:
        if entry.waits_for is not None:
            reason = entry.waits_for
            self._settle_outage(lane, entry, None)
            self._resume(self._waiting.take_waiting_for(reason))
        if lane.partition.finish(lane):
            self._ready.put(lane)
        self._changed.set()
        self._on_finished()

    def _wait(self, lane: Lane, entry: Entry, delivery: Delivery, again: TryAgainException) -> None:
        entry.delivery = _next_try(delivery, again, self._clock())
        self._settle_outage(lane, entry, again)
        if lane.partition.is_fenced:
            if again.is_outage:
                self._give_up(lane.partition)  # what is not in hand would find the same, each after its own time limit
            self._drop(lane)
            return
        lane.partition.waiting += 1
        if again.spent:
            logger.warning(
                "%s failed, attempt %d, again in %.1f s: %s",
                entry.message.place,
                entry.delivery.attempt,
                again.after,
                again,
            )
        self._waiting.put(lane, again.after)
        self._arm()

    def _unexpected(self, delivery: Delivery, error: Exception) -> TryAgainException:
        """Hold a record whose handling ended in a way that no middleware has foreseen."""
        if isinstance(error, DependencyUnavailableException):
            name = error.dependency
        else:
            name = f"an end of {type(error).__name__}"
            logger.error("%s is held: %s", delivery.message.place, message_of(error), exc_info=error)
        away = isinstance(error, DependencyUnavailableException)
        after = self._backoff.delay(delivery.waits)
        return TryAgainException(after, error, waits_for=name, is_outage=away, refusal=delivery.refusal)

    def _settle_outage(self, lane: Lane, entry: Entry, again: TryAgainException | None) -> None:
        """Take note of what a record waits for from now on; until it is done, being tried again ends no waiting."""
        entry.waits_for = None if again is None else again.waits_for
        before, entry.outage = entry.outage, entry.waits_for if again is not None and again.is_outage else None
        if again is not None and entry.outage is not None:
            lane.partition.held += 1
            self.outages.begin(entry.outage, again.cause)
        if before is not None:
            lane.partition.held -= 1
            self.outages.end(before)

    def _give_up(self, partition: AssignedPartition) -> None:
        """Leave everything of a fenced partition that is not in hand to its next owner; nobody waits for it here."""
        for lane in partition.lanes.values():
            if lane.state is LaneState.READY:
                self._settle_outage(lane, lane.entries[0], None)
        partition.give_up()

    def _drop(self, lane: Lane | None) -> None:
        """Leave the records of a lane to the next owner of its partition."""
        if lane is not None:
            if lane.entries:
                self._settle_outage(lane, lane.entries[0], None)
            lane.partition.abandon(lane)
        self._changed.set()

    def _let_wait_no_more(self, lanes: list[Lane]) -> None:
        self._waiting.drop(lanes)
        for lane in lanes:
            lane.partition.waiting -= 1
            self._drop(lane)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._waiting.seconds_until_due()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._resume(self._waiting.take_due())
        self._arm()

    def _resume(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            lane.partition.waiting -= 1
            self._ready.put(lane)


class _CancelledHandlerException(CqrsException):
    """Report a handling that cancelled itself, which nobody had asked for."""

    def __init__(self, error: asyncio.CancelledError) -> None:
        super().__init__("the handling of the record cancelled itself")
        self.__cause__ = error


async def _forget_cancellation(task: asyncio.Task[None]) -> None:
    """Forget what a handling asked for, or did not heed: the next record's handling is not to be cancelled by it."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling():
        task.uncancel()


def _delivery_of(entry: Entry) -> Delivery:
    return entry.delivery or Delivery(entry.message, read_envelope(entry.message))


def _next_try(delivery: Delivery, again: TryAgainException, now: float) -> Delivery:
    if not again.spent:
        # An outage does not use up the time within which the record is tried.
        failed_at = None if delivery.failed_at is None else delivery.failed_at + again.after
        refusal = again.refusal or delivery.refusal
        return delivery._replace(waits=delivery.waits + 1, failed_at=failed_at, refusal=refusal)
    failed_at = now if delivery.failed_at is None else delivery.failed_at
    return delivery._replace(attempt=delivery.attempt + 1, waits=0, failed_at=failed_at)
