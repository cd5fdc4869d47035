"""Bound how often something is done."""

import math
import time
from collections.abc import Callable

LINE_SECONDS = 10.0
"""How far ahead callers are given a time of their own; those beyond it are told to ask again within that."""

LATE_SECONDS = 0.005
"""How late a caller may come at its time and not be in the way of the one behind it."""

_EARLY_SECONDS = 0.001  # sums of floats differ by less, so that nobody who comes in time is early
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class RateLimit:
    """Admit so many callers a second: a token bucket, and a line before it.

    The bucket alone decides: in any t seconds no more than `burst + per_second * t` callers are admitted. Source: RFC
    2215, section 3.6.

    The line keeps callers apart. Each one who is refused is told another time to come back, at which, if nobody else
    takes it, a token is there. Nothing is set aside for it: callers are not told apart, so one who comes for the first
    time at just that moment may be first, and the other is refused once more. A caller who never comes back wastes no
    token either; what is still told for its sake ends after `LINE_SECONDS`. Behind a line of that length callers are
    told different times within which to ask again, and nothing is promised.

    Args:
        per_second: Callers admitted a second in the long run.
        burst: How many may be admitted at once after a pause; None for those of one second, at least 1, as Guava's
            RateLimiter saves up. Below what comes in 5 ms, the line leaves a little more room between callers.
        clock: Seconds that only grow.

    Raises:
        ValueError: `per_second` is not a finite number above 0, or `burst` is not above 0.
    """

    def __init__(
        self, per_second: float, burst: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not (per_second > 0 and 0 < 1 / per_second < math.inf):
            raise ValueError(f"a rate of {per_second} a second admits nobody, or everybody; give a number above 0")
        if burst is not None and burst <= 0:
            raise ValueError(f"a burst of {burst} admits nobody; give a number above 0, or None")
        self._per_second = per_second
        self._burst = float(math.ceil(per_second) if burst is None else burst)
        slack = (self._burst - 1) / per_second
        self._distance = 1 / per_second + max(LATE_SECONDS + _EARLY_SECONDS - slack, 0.0)
        self._clock = clock
        self._tokens = self._burst
        self._counted_at = clock()
        self._last_told = -math.inf
        self._spread = 0.0

    def admit(self) -> float:
        """Return 0 and take a token, or return the seconds after which to come back.

        The seconds are above 0, never fewer than until the next token is there, and at most `LINE_SECONDS` more.
        """
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._counted_at) * self._per_second, self._burst)
        self._counted_at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        until_token = (1.0 - self._tokens) / self._per_second
        told = max(now + until_token + _EARLY_SECONDS, self._last_told + self._distance)
        if told - now > until_token + LINE_SECONDS:
            self._spread = (self._spread + _GOLDEN_RATIO) % 1.0
            return until_token + LINE_SECONDS * (1.0 + self._spread) / 2
        self._last_told = told
        return told - now
