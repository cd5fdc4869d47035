"""Lanes: records of one key stand in line, and only the first of them is in work.

A lane lives while records stand in it. It is ready when its first record may be taken in hand, at work while somebody
has it there, and waits while that record's next try is due later. Whatever a lane does, other lanes do not notice.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING

from cqrs.messaging.delivery import Delivery
from cqrs.messaging.message import Message

if TYPE_CHECKING:
    from cqrs.messaging.progress import AssignedPartition


class LaneState(Enum):
    """Say what a lane is doing."""

    READY = "ready"
    AT_WORK = "at work"
    WAITING = "waiting"


class Entry:
    """Be one record in a lane.

    Attributes:
        message: The record.
        delivery: Its next try, once it had one; None before.
        waits_for: What it waits for that is away, or None.
    """

    __slots__ = ("delivery", "message", "waits_for")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.delivery: Delivery | None = None
        self.waits_for: str | None = None


class Lane:
    """Hold the records of one key of one assigned partition, in order.

    Attributes:
        partition: The partition, in one assignment.
        key: The records' key, or None for those without.
        entries: The records; the first one is the one that is in work.
        state: What the lane is doing.
        is_abandoned: Whether its partition went before its record was done.
    """

    __slots__ = ("entries", "is_abandoned", "key", "partition", "state")

    def __init__(self, partition: "AssignedPartition", key: bytes | None) -> None:
        self.partition = partition
        self.key = key
        self.entries: deque[Entry] = deque()
        self.state = LaneState.READY
        self.is_abandoned = False


class WaitingLanes:
    """Keep lanes whose next try is due later.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._order = count()
        self._due: list[tuple[float, int, Lane]] = []
        self._tickets: dict[Lane, int] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def put(self, lane: Lane, seconds: float) -> None:
        """Let `lane` wait for so long."""
        ticket = next(self._order)
        lane.state = LaneState.WAITING
        self._tickets[lane] = ticket
        heapq.heappush(self._due, (self._clock() + seconds, ticket, lane))

    def seconds_until_due(self) -> float | None:
        """Return how long it takes until a lane is due, or None when none waits."""
        while self._due and self._tickets.get(self._due[0][2]) != self._due[0][1]:
            heapq.heappop(self._due)
        return max(self._due[0][0] - self._clock(), 0.0) if self._due else None

    def take_due(self) -> list[Lane]:
        """Take out the lanes that are due, in the order in which they became so."""
        found: list[Lane] = []
        while self._due and self._due[0][0] <= self._clock():
            _, ticket, lane = heapq.heappop(self._due)
            if self._tickets.get(lane) == ticket:
                found.append(self._taken(lane))
        return found

    def take_waiting_for(self, dependency: str) -> list[Lane]:
        """Take out the lanes whose first record waits for `dependency`."""
        return [self._taken(lane) for lane in list(self._tickets) if lane.entries[0].waits_for == dependency]

    def drop(self, lanes: Iterable[Lane]) -> None:
        """Forget these lanes."""
        for lane in lanes:
            self._tickets.pop(lane, None)
        if len(self._due) > 2 * len(self._tickets) + 64:
            self._due = [each for each in self._due if self._tickets.get(each[2]) == each[1]]
            heapq.heapify(self._due)

    def reasons(self) -> dict[str, int]:
        """Return what is waited for that is away, and how many records wait for it."""
        found: dict[str, int] = {}
        for lane in self._tickets:
            reason = lane.entries[0].waits_for
            if reason is not None:
                found[reason] = found.get(reason, 0) + 1
        return found

    def _taken(self, lane: Lane) -> Lane:
        del self._tickets[lane]
        lane.state = LaneState.READY
        return lane
