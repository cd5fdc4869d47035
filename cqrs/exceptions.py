"""The error tree of the package.

::

    CqrsException                                    retryable = False
    ├── ConfigurationException                       wrong before the first message; carries every problem found
    ├── CommandProcessingException                   what a command bus raises; retryable as its cause is
    │   └── CommandHandlerNotFoundException
    ├── QueryProcessingException                     what a query bus raises; retryable as its cause is
    │   └── QueryHandlerNotFoundException
    ├── CqrsValidationException                      cqrs.validation.exceptions
    ├── AuthorizationException                       cqrs.authorization.exceptions
    ├── HandlerTimeoutException                      the handler's own limit passed; not retryable: it may have acted
    ├── UnitOfWorkException                          cqrs.command.unit_of_work; retryable as its cause is
    ├── UnexpectedResultException                    a handler returned what its message does not declare
    ├── InvalidMessageException                      what the sender wrote cannot be handled, now or later
    │   ├── UndecodableMessageException              the bytes are not what they claim to be
    │   └── UnknownMessageTypeException              no handler knows the declared type
    ├── UnpublishableEventException                  the event does not fit its schema, or has none
    │   └── NoSuchPartitionException                 its topic has fewer partitions
    ├── BrokenOffException                           retryable = True; a dependency broke it off, and serves others
    └── DependencyUnavailableException               retryable = True; broker, registry or database is away
        └── PossiblyUnavailableException             it broke the work off; nobody knows yet whether it serves others

`retryable` says whether the same call can succeed later without anything being changed: it is decided on the class,
and a wrapping exception answers for its cause.
"""

from collections.abc import Sequence


class CqrsException(Exception):
    """Be the root of every error this package raises."""

    retryable: bool = False


class ConfigurationException(CqrsException):
    """Report everything that is wrong with the wiring or the settings, all at once.

    Args:
        problems: One sentence each: what is wrong, where, and what to try.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"- {problem}" for problem in self.problems))


class _ProcessingException(CqrsException):
    """Wrap what went wrong on a bus; `retryable` is the cause's own word."""

    def __init__(self, message: str, *, message_type: type | None = None, cause: BaseException | None = None) -> None:
        # By name: in the classes that are a refusal too, super() is that refusal, which is made of a result.
        CqrsException.__init__(self, message)
        self.message_type = message_type
        self.cause = cause
        self.__cause__ = cause
        self.retryable = is_retryable(cause)


class CommandProcessingException(_ProcessingException):
    """Report that a command was not carried out.

    Attributes:
        cause: The exception that stopped the pipeline, or None.
        command_type: The class of the command, or None when it is not known.
    """

    def __init__(self, message: str, *, command_type: type | None = None, cause: BaseException | None = None) -> None:
        super().__init__(message, message_type=command_type, cause=cause)
        self.command_type = command_type


class CommandHandlerNotFoundException(CommandProcessingException):
    """Report that no handler is registered for a command type."""

    def __init__(self, command_type: type) -> None:
        super().__init__(
            f"No handler is registered for command {command_type.__qualname__}; decorate one with @command_handler "
            "in a scanned package, or call registry.register_command_handler(handler).",
            command_type=command_type,
        )


class QueryProcessingException(_ProcessingException):
    """Report that a query was not answered.

    Attributes:
        cause: The exception that stopped the pipeline, or None.
        query_type: The class of the query, or None when it is not known.
    """

    def __init__(self, message: str, *, query_type: type | None = None, cause: BaseException | None = None) -> None:
        super().__init__(message, message_type=query_type, cause=cause)
        self.query_type = query_type


class QueryHandlerNotFoundException(QueryProcessingException):
    """Report that no handler is registered for a query type."""

    def __init__(self, query_type: type) -> None:
        super().__init__(
            f"No handler is registered for query {query_type.__qualname__}; decorate one with @query_handler "
            "in a scanned package, or call registry.register_query_handler(handler).",
            query_type=query_type,
        )


class HandlerTimeoutException(CqrsException):
    """Report that a handler ran past its limit.

    Args:
        handler: The handler's class name.
        seconds: The limit that passed.
    """

    def __init__(self, handler: str, seconds: float) -> None:
        super().__init__(
            f"{handler} did not finish within {seconds:g} s; raise @command_handler(timeout=...) or make it faster."
        )
        self.handler = handler
        self.seconds = seconds


class UnexpectedResultException(CqrsException):
    """Report a handler or a hook of it that returned something other than what is declared."""


class InvalidMessageException(CqrsException):
    """Report a message that can never be handled as it stands."""


class UndecodableMessageException(InvalidMessageException):
    """Report bytes that are not what they claim to be: a poison record."""


class UnknownMessageTypeException(InvalidMessageException):
    """Report a declared type that no handler of this service knows."""


class UnpublishableEventException(CqrsException):
    """Report an event that cannot be written: no schema, a field that does not fit, no destination."""


class NoSuchPartitionException(UnpublishableEventException):
    """Report a message for a partition that its topic has not.

    Attributes:
        partitions: How many the topic has.
    """

    def __init__(self, message: str, partitions: int) -> None:
        super().__init__(message)
        self.partitions = partitions


class DependencyUnavailableException(CqrsException):
    """Report that something the service needs is away; the same call can succeed later.

    Args:
        dependency: What is away, as an operator would call it: "kafka", "schema registry", "database".
        detail: What was tried and what came back.
    """

    retryable = True

    def __init__(self, dependency: str, detail: str) -> None:
        super().__init__(f"{dependency} is unavailable: {detail}")
        self.dependency = dependency
        self.detail = detail


class PossiblyUnavailableException(DependencyUnavailableException):
    """Report work that a dependency broke off, when nobody knows yet whether it serves others.

    What waits because of it does not keep other work from being tried, which finds out.
    """


class BrokenOffException(CqrsException):
    """Report work that a dependency broke off while it served others: a time limit, a lock, or a conflict with them.

    Args:
        dependency: What broke it off, as an operator would call it.
        detail: What was tried and what came back.
    """

    retryable = True

    def __init__(self, dependency: str, detail: str) -> None:
        super().__init__(f"{dependency} broke this off, and serves others: {detail}")
        self.dependency = dependency


def is_retryable(error: BaseException | None) -> bool:
    """Say whether the same call can succeed later, as the class of `error` declares."""
    return bool(getattr(error, "retryable", False))


def message_of(error: BaseException) -> str:
    """Return what `error` says, also when its own `__str__` fails or says nothing."""
    try:
        return str(error) or type(error).__name__
    except Exception as broken:  # noqa: BLE001 - a user's exception class may do anything
        return f"{type(error).__name__} (its message cannot be read: {type(broken).__name__})"
