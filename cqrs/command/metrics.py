"""What the buses count and time: one table of names and labels, and the port that a metrics library implements."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

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
