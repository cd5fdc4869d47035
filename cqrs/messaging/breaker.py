"""Draft."""

import time
from collections.abc import Callable, Hashable

from cqrs.messaging.backoff import Backoff


class Breaker:
    """Draft."""

    def __init__(self, *, keys: int, backoff: Backoff, clock: Callable[[], float] = time.monotonic) -> None: ...
    def admit(self) -> float:
        return 0.0

    def succeeded(self) -> None: ...
    def failed(self, key: Hashable) -> None: ...
    def abandoned(self) -> None: ...
