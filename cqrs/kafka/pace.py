"""How soon a client that failed is replaced."""

import time
from collections.abc import Callable

from cqrs.messaging.backoff import Backoff


class Pace:
    """Say how long to wait after a failure: not at all after a first one, then ever longer while they keep coming.

    Args:
        backoff: The waits after the failures that follow a first one.
        forget_seconds: How long nothing has to fail until the next failure is a first one again.
        clock: Seconds that only grow.
    """

    def __init__(self, backoff: Backoff, forget_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff = backoff
        self._forget = forget_seconds
        self._clock = clock
        self._in_a_row = 0
        self._last: float | None = None
        self._until = 0.0

    def failed(self) -> None:
        """Count a failure."""
        now = self._clock()
        is_first = self._last is None or now - self._last > self._forget
        self._in_a_row = 0 if is_first else self._in_a_row + 1
        self._last = now
        self._until = now if is_first else now + self._backoff.delay(self._in_a_row - 1)

    @property
    def remaining_seconds(self) -> float:
        """Return how long to wait from now on; 0 when nothing failed or it was waited for long enough."""
        return max(0.0, self._until - self._clock())
