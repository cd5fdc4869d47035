"""What kind of failure an error is: told by its class, before anything is published."""

from collections.abc import Iterator
from enum import Enum

from cqrs.delivery import DeliveryVerdictException
from cqrs.exceptions import (
    CommandProcessingException,
    CqrsException,
    DependencyUnavailableException,
    UndecodableMessageException,
    is_retryable,
)

TRANSIENT_BUILTINS: tuple[type[Exception], ...] = (ConnectionError, TimeoutError)
"""Errors of the standard library that the same call may not meet again."""


class FailureKind(Enum):
    """Name the four kinds of failure, and so what follows.

    Attributes:
        TRANSIENT: Run again, a bounded number of times.
        DEPENDENCY_DOWN: Wait until what is away is back; no attempt is spent.
        PERMANENT: Put aside at once.
        POISON: Put aside at once: its bytes cannot be read, and stay untouched.
    """

    TRANSIENT = "transient"
    DEPENDENCY_DOWN = "dependency_down"
    PERMANENT = "permanent"
    POISON = "poison"


class Failures:
    """Tell the kind of an error.

    Args:
        transient: Further classes whose errors are transient: those of the client libraries that handlers use.
    """

    def __init__(self, transient: tuple[type[Exception], ...] = ()) -> None:
        self._transient = TRANSIENT_BUILTINS + transient

    def kind_of(self, error: BaseException) -> FailureKind:
        """Return the kind of `error`; a wrapping exception is of the kind of what it wraps."""
        root = root_of(error)
        if isinstance(root, DependencyUnavailableException):
            return FailureKind.DEPENDENCY_DOWN
        if isinstance(root, UndecodableMessageException):
            return FailureKind.POISON
        if is_retryable(error) or (isinstance(root, self._transient) and not isinstance(root, CqrsException)):
            return FailureKind.TRANSIENT
        return FailureKind.PERMANENT


def verdict_of(error: BaseException) -> DeliveryVerdictException | None:
    """Return the verdict that the record's own handler raised, or None.

    What the handler of another command chooses, which this one sent from inside, is a failure of that command: it
    decides nothing over this record.
    """
    for each in (error, error.cause if isinstance(error, CommandProcessingException) else None):
        if isinstance(each, DeliveryVerdictException):
            return each
    return None


def root_of(error: BaseException) -> BaseException:
    """Return what the buses have wrapped, innermost."""
    *_, root = _wrapped(error)
    return root


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        # Only what our own exceptions name as their cause: the cause of a user's exception is the user's own affair.
        found = getattr(found, "cause", None) if isinstance(found, CqrsException) else None
