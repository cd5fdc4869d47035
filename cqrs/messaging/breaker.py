"""Stop calling a handler for a while when key after key fails in it."""

import time
from collections.abc import Callable, Hashable
from typing import Literal

from cqrs.messaging.backoff import Backoff

BreakerState = Literal["closed", "open", "half_open"]

SHORTEST_SECONDS = 0.001
"""The shortest time that a breaker stays open, whatever the backoff says: nobody is to spin before it."""


class Breaker:
    """Open when command after command fails, and try with a single one whether it is over.

    Source: "Circuit Breaker", M. Nygard, Release It!, 2007. It opens when `keys` different keys failed since the last
    success: one bad key never opens it, however often it is tried. Once its time is over it is half open: one caller is
    let through as a probe. A probe that fails opens it again, for longer; a success closes it.

    Results say nothing of the call they belong to, and calls that began before it opened end whenever they do. So a
    success closes it at any time, because the handler works. A failure counts for nothing while it is open; while it is
    half open it opens it again, because the handler failed just now, whoever called it.

    Args:
        keys: How many different keys must fail.
        backoff: How long it stays open: try n after n probes that failed.
        clock: Seconds that only grow.

    Raises:
        ValueError: `keys` is not above 0.
    """

    def __init__(self, *, keys: int, backoff: Backoff, clock: Callable[[], float] = time.monotonic) -> None:
        if keys <= 0:
            raise ValueError(f"a breaker that opens at {keys} failed keys is never closed; give a number above 0")
        self._keys = keys
        self._backoff = backoff
        self._clock = clock
        self._state: BreakerState = "closed"
        self._failed: set[Hashable] = set()
        self._failed_probes = 0
        self._seconds = 0.0
        self._longest = max(backoff.maximum_seconds, SHORTEST_SECONDS)
        self._until = 0.0
        self._probed_at = 0.0

    @property
    def state(self) -> BreakerState:
        """Return what it is; it stays open until somebody asks for admission after its time."""
        return self._state

    def admit(self) -> float:
        """Return 0 to let the caller go on, or the seconds after which to ask again, at most the backoff's maximum.

        Whoever was let through says how it went: `succeeded`, `failed` or `abandoned`.
        """
        if self._state == "closed":
            return 0.0
        now = self._clock()
        if self._state == "half_open":
            # As long again as the probe takes already: however many wait for a slow one, they ask seldom.
            return min(max(self._seconds, now - self._probed_at), self._longest)
        if now < self._until:
            return self._until - now
        self._state = "half_open"
        self._probed_at = now
        return 0.0

    def succeeded(self) -> None:
        """Take note that a call succeeded: close."""
        self._state = "closed"
        self._failed.clear()
        self._failed_probes = 0

    def failed(self, key: Hashable) -> None:
        """Take note that a call for `key` failed."""
        if self._state == "closed":
            self._failed.add(key)
            if len(self._failed) >= self._keys:
                self._open()
        elif self._state == "half_open":
            self._failed_probes += 1
            self._open()

    def abandoned(self) -> None:
        """Take note that a call ended without a result, because it was cancelled: another one may be the probe."""
        if self._state == "half_open":
            self._state = "open"

    def _open(self) -> None:
        self._failed.clear()
        self._seconds = max(self._backoff.delay(self._failed_probes), SHORTEST_SECONDS)
        self._until = self._clock() + self._seconds
        self._state = "open"
