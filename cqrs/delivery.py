"""What a handler says about the delivery of its commands: the outcome it wants, and the policy it asks for.

A handler raises `Retry`, `DeadLetter` or `Skip` to choose what becomes of the record that brought its command. Whatever
it did in its transaction is rolled back, and none of its events is published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from cqrs.exceptions import ConfigurationException, CqrsException

H = TypeVar("H", bound=type)

WhenExhausted = Literal["skip", "halt_key"]
"""What follows when retries run out: `skip` puts the record aside and goes on with its key, `halt_key` puts the key's
later records aside too, behind it, until they are redriven."""

_OPTIONS = "__cqrs_delivery__"


class DeliveryVerdictException(CqrsException):
    """Be the root of what a handler raises to choose the outcome of its record."""


class Retry(DeliveryVerdictException):
    """Ask for the record to be run again later; it counts as an attempt, and its key waits meanwhile.

    Args:
        after: Seconds until then; None takes the backoff of the policy.
        reason: Why, for logs and for the dead letter that it becomes when its attempts run out.
    """

    retryable = True

    def __init__(self, after: float | None = None, reason: str = "the handler asks for another attempt") -> None:
        if after is not None and not 0 <= after < float("inf"):
            raise ValueError(f"Retry(after={after!r}): give seconds, 0 or more, or None for the policy's backoff")
        super().__init__(reason)
        self.after = after


class DeadLetter(DeliveryVerdictException):
    """Put the record aside as a dead letter at once.

    Args:
        reason: Why, for whoever reads the dead letter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Skip(DeliveryVerdictException):
    """Count the record as done without any effect; it is logged and counted, and goes to no dead letter topic.

    Args:
        reason: Why, for the log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Hold what `delivery` says of a handler; None takes the service's setting.

    Attributes:
        max_attempts: How often a transient failure is run at most, the first time included.
        max_seconds: How long after its first failure a record may be run again at most.
        when_exhausted: What follows when these run out.
        rate_limit: Commands a second at most; None sets no limit.
        breaker_keys: How many different keys must fail in a row before no more is tried for a while; 0: never.
    """

    max_attempts: int | None = None
    max_seconds: float | None = None
    when_exhausted: WhenExhausted | None = None
    rate_limit: float | None = None
    breaker_keys: int | None = None

    def problems(self) -> list[str]:
        """Say what cannot be meant, a sentence each."""
        checks = (
            (self.max_attempts is not None and self.max_attempts < 1, "max_attempts", "1 or more"),
            (self.max_seconds is not None and not self.max_seconds > 0, "max_seconds", "seconds above 0"),
            (self.when_exhausted not in (None, "skip", "halt_key"), "when_exhausted", "'skip' or 'halt_key'"),
            (self.rate_limit is not None and not self.rate_limit > 0, "rate_limit", "commands a second, above 0"),
            (self.breaker_keys is not None and self.breaker_keys < 0, "breaker_keys", "0 or more"),
        )
        return [f"{name} is {getattr(self, name)!r}; give {wanted} or None" for wrong, name, wanted in checks if wrong]


_DEFAULTS = DeliveryOptions()


def delivery(
    *,
    max_attempts: int | None = None,
    max_seconds: float | None = None,
    when_exhausted: WhenExhausted | None = None,
    rate_limit: float | None = None,
    breaker_keys: int | None = None,
) -> Callable[[H], H]:
    """Give the commands of a handler class a delivery policy of their own; `DeliveryOptions` explains each option.

    Raises:
        ConfigurationException: an option cannot be meant; shows all of them.
    """
    options = DeliveryOptions(max_attempts, max_seconds, when_exhausted, rate_limit, breaker_keys)

    def mark(cls: H) -> H:
        if problems := options.problems():
            raise ConfigurationException([f"@delivery on {cls.__qualname__}: {problem}" for problem in problems])
        setattr(cls, _OPTIONS, options)
        return cls

    return mark


def delivery_options(handler: object) -> DeliveryOptions:
    """Return what `delivery` says of a handler or its class; the defaults when it says nothing."""
    found = getattr(handler, _OPTIONS, _DEFAULTS)
    return found if isinstance(found, DeliveryOptions) else _DEFAULTS
