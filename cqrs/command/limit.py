"""How long a handler may take."""

from dataclasses import dataclass
from time import monotonic

from cqrs.exceptions import HandlerTimeoutException


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Hold how long a handler may take.

    Attributes:
        handler: The handler's class name, for the error.
        seconds: The limit.
    """

    handler: str
    seconds: float

    def deadline(self) -> float:
        """Return when a handler that starts now must have ended, in the time of `time.monotonic()`."""
        return monotonic() + self.seconds

    def passed(self) -> HandlerTimeoutException:
        """Return the error of a handler that has not ended by its deadline."""
        return HandlerTimeoutException(self.handler, self.seconds)
