"""What stands before the handler of one command type: a circuit breaker and a rate limit."""

from contextlib import AbstractContextManager
from types import TracebackType

from cqrs.exceptions import CqrsException
from cqrs.messaging.breaker import Breaker, BreakerState
from cqrs.messaging.delivery import Delivery, TryAgainException
from cqrs.messaging.failures import FailureKind, Failures, verdict_of
from cqrs.messaging.rate_limit import RateLimit


class GateClosedException(CqrsException):
    """Report that a command's turn has not come: its breaker is open, or its rate is used up."""

    retryable = True


class Gate:
    """Let commands of one type through to their handler, and learn from how they fare.

    Args:
        name: The declared name of the command type, for messages.
        breaker: Opens when command after command fails; None for none.
        rate: Bounds the commands a second; None for no bound.
        failures: Tells the kind of an error.
    """

    def __init__(self, name: str, breaker: Breaker | None, rate: RateLimit | None, failures: Failures) -> None:
        self.name = name
        self._breaker = breaker
        self._rate = rate
        self._failures = failures
        self._last_failure: Exception | None = None

    @property
    def breaker_state(self) -> BreakerState | None:
        """Return what the breaker is, or None when there is none; from any thread."""
        return None if self._breaker is None else self._breaker.state

    def passage(self, delivery: Delivery) -> AbstractContextManager[None]:
        """Let one command pass to the block, which carries it out.

        Raises:
            TryAgainException: on entering: it has to wait; no attempt is spent.
        """
        return _Passage(self, delivery)

    def enter(self) -> None:
        """Let one command in.

        Raises:
            TryAgainException: it has to wait; no attempt is spent.
        """
        if self._breaker is not None and (seconds := self._breaker.admit()) > 0:
            reason = GateClosedException(f"{self.name} is held back: command after command failed")
            reason.__cause__ = self._last_failure
            raise TryAgainException(seconds, reason, waits_for=f"the handler of {self.name}", is_outage=False)
        if self._rate is not None and (seconds := self._rate.admit()) > 0:
            self._abandon()
            raise TryAgainException(seconds, GateClosedException(f"{self.name} has reached its rate"))

    def leave(self, delivery: Delivery, error: BaseException | None) -> None:
        """Learn from how the command fared that was let in."""
        if isinstance(error, Exception):
            self._tell(delivery, error)
        elif error is not None:
            self._abandon()
        elif self._breaker is not None:
            self._breaker.succeeded()

    def _abandon(self) -> None:
        if self._breaker is not None:
            self._breaker.abandoned()

    def _tell(self, delivery: Delivery, error: Exception) -> None:
        """Take note of a failure; what lies with the command itself says nothing of its handler, for or against."""
        if self._breaker is None:
            return
        kind = self._failures.kind_of(error)
        if verdict_of(error) is None and kind in (FailureKind.TRANSIENT, FailureKind.DEPENDENCY_DOWN):
            self._last_failure = error
            message = delivery.message
            self._breaker.failed((message.topic, message.partition, message.key))
        else:
            self._breaker.abandoned()


class _Passage:
    """Let one command pass to the block of a `with`."""

    __slots__ = ("_delivery", "_gate")

    def __init__(self, gate: Gate, delivery: Delivery) -> None:
        self._gate = gate
        self._delivery = delivery

    def __enter__(self) -> None:
        self._gate.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave(self._delivery, error)
