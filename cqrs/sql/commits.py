"""Know whether the database works: it does while transactions of this process commit."""

import time
from collections.abc import Callable


class Commits:
    """Remember when a transaction committed last.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def now(self) -> float:
        """Return the time, to be handed to `serves_others` later."""
        return self._clock()

    def note(self) -> None:
        """Take note of a commit."""
        self._last = self._clock()

    def serves_others(self, begun_at: float) -> bool:
        """Say whether another transaction committed in the later half of the time since `begun_at`.

        The earlier half proves nothing: what runs into a time limit because the database went away began before that,
        beside others that still committed.
        """
        return self._last > (begun_at + self._clock()) / 2
