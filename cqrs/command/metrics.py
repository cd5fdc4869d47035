"""What the buses count and time: one table of names and labels, and the port that a metrics library implements."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol, runtime_checkable

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.exceptions import CommandProcessingException, QueryProcessingException
from cqrs.types import message_name
from cqrs.validation.exceptions import CqrsValidationException

COMMANDS = "cqrs_commands_total"
COMMAND_DURATION = "cqrs_command_duration_seconds"
QUERIES = "cqrs_queries_total"
QUERY_DURATION = "cqrs_query_duration_seconds"
CACHE_REQUESTS = "cqrs_query_cache_requests_total"
CACHE_FAILURES = "cqrs_cache_failures_total"
RETRIES = "cqrs_handler_retries_total"
LOST_EVENTS = "cqrs_lost_events_total"

METRICS: Mapping[str, tuple[tuple[str, ...], str]] = {
    COMMANDS: (("type", "outcome"), "Commands sent on the bus, by outcome."),
    COMMAND_DURATION: (("type", "outcome"), "Seconds a command took on the bus."),
    QUERIES: (("type", "outcome"), "Queries asked on the bus, by outcome."),
    QUERY_DURATION: (("type", "outcome"), "Seconds a query took on the bus."),
    CACHE_REQUESTS: (("type", "outcome"), "Cacheable queries, by what the cache answered: hit or miss."),
    CACHE_FAILURES: (("type", "operation"), "Cache operations that raised; each counts as a miss."),
    RETRIES: (("type",), "Further attempts of a handler after a failed one."),
    LOST_EVENTS: (("type",), "Events given up by the lenient publication strategy."),
}
"""Every metric of the buses: its label names in order, and its description."""


class Outcome(StrEnum):
    """Say how a command or query ended; the value of the label `outcome`."""

    SUCCESS = "success"
    FAILURE = "failure"
    VALIDATION_FAILURE = "validation_failure"
    AUTHORIZATION_DENIED = "authorization_denied"


class MetricsRegistry(Protocol):
    """Count and time by name and labels; `cqrs.telemetry` implements it with prometheus_client.

    Names and label names are those of `METRICS`; names ending in `_seconds` are observed, all others incremented.
    """

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        """Add one to the counter `name`."""

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        """Record one duration in the histogram `name`."""


@runtime_checkable
class RecorderMaking(Protocol):
    """Find a counter and a histogram once for many records; a MetricsRegistry that can saves 1.1 us a message."""

    def recorder(self, counter: str, histogram: str, labels: Mapping[str, str]) -> Callable[[float], None]:
        """Return what adds one to `counter` and records its argument, seconds, in `histogram`."""
        ...


class CqrsMetricsService:
    """Count and time what the buses do, by message type.

    Args:
        registry: Where to; None records nothing.
    """

    def __init__(self, registry: MetricsRegistry | None = None) -> None:
        self._registry = registry
        self._labels: dict[tuple[type, str, str], dict[str, str]] = {}
        self._recorders: dict[tuple[str, type, str], Callable[[float], None]] = {}

    def record_command_success(self, command: object, seconds: float) -> None:
        """Count and time a command that was carried out."""
        self._finished(COMMANDS, COMMAND_DURATION, command, Outcome.SUCCESS, seconds)

    def record_command_failure(self, command: object, error: BaseException, seconds: float) -> None:
        """Count and time a command that was refused or failed with `error`."""
        self._finished(COMMANDS, COMMAND_DURATION, command, outcome_of(error), seconds)

    def record_query_success(self, query: object, seconds: float) -> None:
        """Count and time a query that was answered."""
        self._finished(QUERIES, QUERY_DURATION, query, Outcome.SUCCESS, seconds)

    def record_query_failure(self, query: object, error: BaseException, seconds: float) -> None:
        """Count and time a query that was refused or failed with `error`."""
        self._finished(QUERIES, QUERY_DURATION, query, outcome_of(error), seconds)

    def record_cache_hit(self, query: object) -> None:
        """Count a query that was answered from the cache."""
        self._increment(CACHE_REQUESTS, query, "outcome", "hit")

    def record_cache_miss(self, query: object) -> None:
        """Count a cacheable query that the cache did not answer."""
        self._increment(CACHE_REQUESTS, query, "outcome", "miss")

    def record_cache_failure(self, message: object, operation: str) -> None:
        """Count a cache operation ("key", "get", "put", "evict") that raised."""
        self._increment(CACHE_FAILURES, message, "operation", operation)

    def record_retry(self, message: object) -> None:
        """Count a further attempt of a handler."""
        self._increment(RETRIES, message)

    def record_lost_event(self, event: object) -> None:
        """Count an event that could not be published and was given up."""
        self._increment(LOST_EVENTS, event)

    def _finished(self, counter: str, timer: str, message: object, outcome: str, seconds: float) -> None:
        if self._registry is not None:
            key = (counter, type(message), outcome)
            record = self._recorders.get(key)
            if record is None:
                labels = self._labels_of(message, "outcome", outcome)
                record = self._recorders[key] = recorder_of(self._registry, counter, timer, labels)
            record(seconds)

    def _increment(self, name: str, message: object, label: str = "", value: str = "") -> None:
        if self._registry is not None:
            self._registry.increment(name, self._labels_of(message, label, value))

    def _labels_of(self, message: object, label: str, value: str) -> Mapping[str, str]:
        key = (type(message), label, value)
        labels = self._labels.get(key)
        if labels is None:
            labels = (
                {"type": message_name(type(message)), label: value} if label else {"type": message_name(type(message))}
            )
            self._labels[key] = labels
        return labels


def recorder_of(
    registry: MetricsRegistry, counter: str, timer: str, labels: Mapping[str, str]
) -> Callable[[float], None]:
    """Return what adds one to `counter` and records its argument, seconds, in `timer`: found once where that can be."""
    if isinstance(registry, RecorderMaking):
        return registry.recorder(counter, timer, labels)

    def record(seconds: float) -> None:
        registry.increment(counter, labels)
        registry.observe(timer, seconds, labels)

    return record


def outcome_of(error: BaseException) -> Outcome:
    """Return how a message that ended with `error` is counted.

    What another bus raised, for a message sent from inside the handler, is a failure of this one, not its refusal.
    """
    if isinstance(error, CommandProcessingException | QueryProcessingException):
        return Outcome.FAILURE
    if isinstance(error, CqrsValidationException):
        return Outcome.VALIDATION_FAILURE
    return Outcome.AUTHORIZATION_DENIED if isinstance(error, AuthorizationException) else Outcome.FAILURE
