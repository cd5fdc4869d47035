"""How long to wait before the next try."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Compute exponentially growing waits with full jitter.

    The wait before try n is uniform in [0, min(maximum, minimum * 2**n)], and never under half of the minimum, so that
    nobody spins. Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        minimum_seconds: The bound of the first wait.
        maximum_seconds: The bound that later waits never pass.
        uniform: The source of randomness, as `random.uniform`.
    """

    minimum_seconds: float
    maximum_seconds: float
    uniform: Callable[[float, float], float] = random.uniform

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after failed try number `attempt`, counted from 0."""
        exponent = min(attempt, 64)  # beyond it every bound is the maximum, and 2**n stops being a float
        bound = min(self.maximum_seconds, self.minimum_seconds * 2**exponent)
        return max(self.uniform(0.0, bound), min(self.minimum_seconds, self.maximum_seconds) / 2)
