"""Lanes that wait: their first record failed, or its time has not come, and is tried again later."""

import heapq
from collections.abc import Callable, Iterable
from itertools import count

from cqrs.messaging.lanes import Lane, LaneState


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

    def _taken(self, lane: Lane) -> Lane:
        del self._tickets[lane]
        lane.state = LaneState.READY
        return lane
