"""What is counted and timed: a table, and what the service makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.metrics import METRICS, CqrsMetricsService, Outcome, outcome_of
from cqrs.command.refusals import CommandAuthorizationException, CommandValidationException
from cqrs.types import Command, Query, message_type
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult

INVALID = CqrsValidationException(ValidationResult.failure("x", "no"))
DENIED = AuthorizationException(AuthorizationResult.failure("x", "no"))


@message_type("orders.Create")
@dataclass(frozen=True)
class Create(Command[str]):
    x: int = 1


@dataclass(frozen=True)
class Find(Query[str]):
    x: int = 1


class Recorded:
    def __init__(self) -> None:
        self.counted: list[tuple[str, dict[str, str]]] = []
        self.timed: list[tuple[str, float, dict[str, str]]] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        self._check(name, labels)
        assert not name.endswith("_seconds")
        self.counted.append((name, dict(labels)))

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        self._check(name, labels)
        assert name.endswith("_seconds")
        self.timed.append((name, seconds, dict(labels)))

    def _check(self, name: str, labels: Mapping[str, str]) -> None:
        assert tuple(labels) == METRICS[name][0]


def test_success_and_failure_are_counted_and_timed_by_type() -> None:
    recorded = Recorded()
    service = CqrsMetricsService(recorded)
    service.record_command_success(Create(), 0.5)
    service.record_command_failure(Create(), ValueError(), 0.25)
    service.record_query_success(Find(), 1.0)
    service.record_query_failure(Find(), DENIED, 2.0)

    success = {"type": "orders.Create", "outcome": "success"}
    failure = {"type": "orders.Create", "outcome": "failure"}
    found = {"type": "Find", "outcome": "success"}
    denied = {"type": "Find", "outcome": "authorization_denied"}
    assert recorded.counted == [
        ("cqrs_commands_total", success),
        ("cqrs_commands_total", failure),
        ("cqrs_queries_total", found),
        ("cqrs_queries_total", denied),
    ]
    assert recorded.timed == [
        ("cqrs_command_duration_seconds", 0.5, success),
        ("cqrs_command_duration_seconds", 0.25, failure),
        ("cqrs_query_duration_seconds", 1.0, found),
        ("cqrs_query_duration_seconds", 2.0, denied),
    ]


class RecordedByRecorders(Recorded):
    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, str, dict[str, str]]] = []

    def recorder(self, counter: str, histogram: str, labels: Mapping[str, str]) -> Callable[[float], None]:
        self.made.append((counter, histogram, dict(labels)))

        def record(seconds: float) -> None:
            self.increment(counter, labels)
            self.observe(histogram, seconds, labels)

        return record


def test_a_registry_that_makes_recorders_is_asked_once_for_each_type_and_outcome() -> None:
    plain, recorded = Recorded(), RecordedByRecorders()
    for registry in (plain, recorded):
        service = CqrsMetricsService(registry)
        for seconds in (0.5, 0.25):
            service.record_command_success(Create(), seconds)
            service.record_command_failure(Create(), DENIED, seconds)
            service.record_query_success(Find(), seconds)

    assert recorded.counted == plain.counted
    assert recorded.timed == plain.timed
    assert recorded.made == [
        ("cqrs_commands_total", "cqrs_command_duration_seconds", {"type": "orders.Create", "outcome": "success"}),
        (
            "cqrs_commands_total",
            "cqrs_command_duration_seconds",
            {"type": "orders.Create", "outcome": "authorization_denied"},
        ),
        ("cqrs_queries_total", "cqrs_query_duration_seconds", {"type": "Find", "outcome": "success"}),
    ]


def test_a_message_that_is_both_command_and_query_is_counted_as_what_it_was_sent_as() -> None:
    @dataclass(frozen=True)
    class Both(Command[str], Query[str]):
        pass

    recorded = Recorded()
    service = CqrsMetricsService(recorded)
    service.record_command_success(Both(), 1.0)
    service.record_query_success(Both(), 1.0)

    assert [name for name, _ in recorded.counted] == ["cqrs_commands_total", "cqrs_queries_total"]


def test_cache_retries_and_lost_events_are_counted() -> None:
    recorded = Recorded()
    service = CqrsMetricsService(recorded)
    service.record_cache_hit(Find())
    service.record_cache_miss(Find())
    service.record_cache_failure(Find(), "get")
    service.record_retry(Create())
    service.record_lost_event(Create())
    assert recorded.counted == [
        ("cqrs_query_cache_requests_total", {"type": "Find", "outcome": "hit"}),
        ("cqrs_query_cache_requests_total", {"type": "Find", "outcome": "miss"}),
        ("cqrs_cache_failures_total", {"type": "Find", "operation": "get"}),
        ("cqrs_handler_retries_total", {"type": "orders.Create"}),
        ("cqrs_lost_events_total", {"type": "orders.Create"}),
    ]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError(), Outcome.FAILURE),
        (INVALID, Outcome.VALIDATION_FAILURE),
        (DENIED, Outcome.AUTHORIZATION_DENIED),
        # refused by another bus, for a command that the handler sent
        (CommandValidationException(Create, INVALID), Outcome.FAILURE),
        (CommandAuthorizationException(Create, DENIED), Outcome.FAILURE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_outcome_is_told_from_the_error(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_without_a_registry_nothing_is_recorded() -> None:
    service = CqrsMetricsService()
    service.record_command_success(Create(), 1.0)
    service.record_command_failure(Create(), ValueError(), 1.0)
    service.record_query_success(Find(), 1.0)
    service.record_cache_hit(Find())


def test_every_metric_has_a_description_and_a_name_that_prometheus_takes() -> None:
    for name, (labels, description) in METRICS.items():
        assert name.startswith("cqrs_")
        assert name.endswith(("_total", "_seconds"))
        assert labels[0] == "type"
        assert description.endswith(".")
