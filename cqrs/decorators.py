"""Mark handler classes, and say how their bus is to run them."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from enum import Enum
from typing import TypeVar, overload

from cqrs.exceptions import ConfigurationException

H = TypeVar("H")

_OPTIONS = "__cqrs_handler_options__"


class HandlerKind(Enum):
    """Say what a handler class is marked as."""

    COMMAND = "command"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """Hold what a decorator says of a handler; `command_handler` and `query_handler` explain each.

    Attributes:
        kind: What it is marked as; None for a handler without a decorator, which runs with the defaults.
        timeout: Seconds; None takes the bus's default.
        retries: Further attempts after a failed one.
        backoff_ms: Milliseconds; the bound of the first wait.
        metrics: Whether it is counted and timed.
        tracing: Whether it has spans.
        validation: Whether its messages are validated.
        priority: Lower wins among the handlers of one message type.
        tags: Words for listings and spans.
        description: A sentence for listings and spans.
        cacheable: Whether results are kept; queries only.
        cache_ttl: Seconds a result is kept; None takes the bus's default, 0 keeps nothing; queries only.
        cache_key_prefix: What stands before the cache key and a colon; queries only.
    """

    kind: HandlerKind | None = None
    timeout: float | None = None
    retries: int = 0
    backoff_ms: int = 1000
    metrics: bool = True
    tracing: bool = True
    validation: bool = True
    priority: int = 0
    tags: tuple[str, ...] = ()
    description: str = ""
    cacheable: bool = False
    cache_ttl: int | None = None
    cache_key_prefix: str | None = None

    def problems(self) -> list[str]:
        """Say what cannot be meant, a sentence each."""
        checks = (
            (
                self.timeout is not None and self.timeout <= 0,
                f"timeout is {self.timeout}; give seconds above 0 or None",
            ),
            (self.retries < 0, f"retries is {self.retries}; give 0 or more"),
            (self.backoff_ms < 0, f"backoff_ms is {self.backoff_ms}; give 0 or more"),
            (
                self.cache_ttl is not None and self.cache_ttl < 0,
                f"cache_ttl is {self.cache_ttl}; give 0 or more or None",
            ),
            (not isinstance(self.tags, tuple), f"tags is {self.tags!r}; give a tuple of str"),
        )
        return [problem for wrong, problem in checks if wrong]


_DEFAULTS = HandlerOptions()


@overload
def command_handler(cls: type[H], /) -> type[H]: ...
@overload
def command_handler(
    *,
    timeout: float | None = None,
    retries: int = 0,
    backoff_ms: int = 1000,
    metrics: bool = True,
    tracing: bool = True,
    validation: bool = True,
    priority: int = 0,
    tags: tuple[str, ...] = (),
    description: str = "",
) -> Callable[[type[H]], type[H]]: ...
def command_handler(
    cls: type[H] | None = None,
    /,
    *,
    timeout: float | None = None,
    retries: int = 0,
    backoff_ms: int = 1000,
    metrics: bool = True,
    tracing: bool = True,
    validation: bool = True,
    priority: int = 0,
    tags: tuple[str, ...] = (),
    description: str = "",
) -> type[H] | Callable[[type[H]], type[H]]:
    """Mark a class as the handler of a command; used bare or with options.

    Args:
        cls: The class, when used bare.
        timeout: Seconds the handler may take, per attempt; None takes the bus's default (30).
        retries: Further attempts after a failed one; what cannot succeed is never tried again.
        backoff_ms: Milliseconds; waits between attempts are random below this, doubled with every attempt.
        metrics: Whether its commands are counted and timed.
        tracing: Whether its commands have spans.
        validation: Whether its commands are validated.
        priority: Lower wins among the handlers of one command type; equal ones are an error at registration.
        tags: Words for listings and spans.
        description: A sentence for listings and spans.

    Raises:
        ConfigurationException: an option is out of its range.
    """
    return _marking(
        cls,
        HandlerOptions(
            HandlerKind.COMMAND,
            timeout,
            retries,
            backoff_ms,
            metrics,
            tracing,
            validation,
            priority,
            tags,
            description,
        ),
    )


@overload
def query_handler(cls: type[H], /) -> type[H]: ...
@overload
def query_handler(
    *,
    timeout: float | None = None,
    retries: int = 0,
    backoff_ms: int = 1000,
    metrics: bool = True,
    tracing: bool = True,
    validation: bool = True,
    cacheable: bool = False,
    cache_ttl: int | None = None,
    cache_key_prefix: str | None = None,
    priority: int = 0,
    tags: tuple[str, ...] = (),
    description: str = "",
) -> Callable[[type[H]], type[H]]: ...
def query_handler(
    cls: type[H] | None = None,
    /,
    *,
    timeout: float | None = None,
    retries: int = 0,
    backoff_ms: int = 1000,
    metrics: bool = True,
    tracing: bool = True,
    validation: bool = True,
    cacheable: bool = False,
    cache_ttl: int | None = None,
    cache_key_prefix: str | None = None,
    priority: int = 0,
    tags: tuple[str, ...] = (),
    description: str = "",
) -> type[H] | Callable[[type[H]], type[H]]:
    """Mark a class as the handler of a query; used bare or with options.

    Args:
        cls: The class, when used bare.
        timeout: Seconds the handler may take, per attempt; None takes the bus's default (15).
        retries: Further attempts after a failed one; what cannot succeed is never tried again.
        backoff_ms: Milliseconds; waits between attempts are random below this, doubled with every attempt.
        metrics: Whether its queries are counted and timed.
        tracing: Whether its queries have spans.
        validation: Whether its queries are validated.
        cacheable: Whether results are kept in the cache, where the bus has one.
        cache_ttl: Seconds a result is kept; None takes the bus's default, 0 keeps nothing.
        cache_key_prefix: What stands before the query's key and a colon.
        priority: Lower wins among the handlers of one query type; equal ones are an error at registration.
        tags: Words for listings and spans.
        description: A sentence for listings and spans.

    Raises:
        ConfigurationException: an option is out of its range.
    """
    return _marking(
        cls,
        HandlerOptions(
            HandlerKind.QUERY,
            timeout,
            retries,
            backoff_ms,
            metrics,
            tracing,
            validation,
            priority,
            tags,
            description,
            cacheable,
            cache_ttl,
            cache_key_prefix,
        ),
    )


def handler_options(handler: object) -> HandlerOptions:
    """Return the options of a handler or handler class: its own decorator's, else an inherited one's, else defaults."""
    options: HandlerOptions = getattr(handler, _OPTIONS, _DEFAULTS)
    return options


def handler_kind(cls: type) -> HandlerKind | None:
    """Return what the class itself is marked as; a mark is not inherited, so that a subclass is not found twice."""
    options: HandlerOptions = vars(cls).get(_OPTIONS, _DEFAULTS)
    return options.kind


def _marking(cls: type[H] | None, options: HandlerOptions) -> type[H] | Callable[[type[H]], type[H]]:
    def mark(target: type[H]) -> type[H]:
        found = options.problems() if inspect.isclass(target) else ["it marks classes, and this is none"]
        if found:
            name = getattr(target, "__qualname__", repr(target))
            kind = options.kind.value if options.kind else ""
            raise ConfigurationException([f"@{kind}_handler on {name}: {each}." for each in found])
        setattr(target, _OPTIONS, options)
        for name, value in _announced(options):
            setattr(target, f"__pyfly_{name}__", value)
        return target

    return mark if cls is None else mark(cls)


def _announced(options: HandlerOptions) -> Iterator[tuple[str, object]]:
    """Yield what also stands on the class by name, beside the guide's own marks, for programs that look at classes."""
    yield "handler_type", options.kind.value if options.kind else None
    for option in fields(options):
        if option.name != "kind" and (options.kind is HandlerKind.QUERY or not option.name.startswith("cache")):
            yield option.name, getattr(options, option.name)
