"""Draft."""

import time
from collections.abc import Callable


class RateLimit:
    """Draft."""

    def __init__(
        self, per_second: float, burst: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None: ...
    def admit(self) -> float:
        return 0.0
