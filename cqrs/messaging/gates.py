"""What stands before the handler of one command type: a circuit breaker and a rate limit."""

from collections.abc import Iterator
from contextlib import contextmanager

from cqrs.exceptions import CqrsException
from cqrs.messaging.breaker import Breaker
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

    @contextmanager
    def passage(self, delivery: Delivery) -> Iterator[None]:
        """Let one command pass to the block, which carries it out.

        Raises:
            TryAgainException: it has to wait; no attempt is spent.
        """
        self._enter()
        try:
            yield
        except Exception as error:
            self._tell(delivery, error)
            raise
        except BaseException:
            self._abandon()
            raise
        if self._breaker is not None:
            self._breaker.succeeded()

    def _enter(self) -> None:
        if self._breaker is not None and (seconds := self._breaker.admit()) > 0:
            reason = GateClosedException(f"{self.name} is held back: command after command failed")
            reason.__cause__ = self._last_failure
            raise TryAgainException(seconds, reason, waits_for=f"the handler of {self.name}", is_outage=False)
        if self._rate is not None and (seconds := self._rate.admit()) > 0:
            self._abandon()
            raise TryAgainException(seconds, GateClosedException(f"{self.name} has reached its rate"))

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
