"""Each contestant of ours does what its line in the table says: otherwise the numbers are of something else."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from benchmarks.bus import own
from benchmarks.bus.contestants import CONTESTANTS, OWN
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.metrics import METRICS
from cqrs.event.publisher import NoOpEventPublisher
from cqrs.telemetry.metrics import PrometheusMetrics
from cqrs.validation.types import ValidationResult

Told = list[tuple[str, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Collect what the parts around the handlers are asked to do, and at the end what was counted and timed."""
    seen: Told = []
    registries: list[PrometheusMetrics] = []

    async def validate(command: own.PlaceCheckedOrder) -> ValidationResult:
        seen.append(("asked", "validate"))
        return ValidationResult.success()

    async def authorize(command: own.PlaceCheckedOrder) -> AuthorizationResult:
        seen.append(("asked", "authorize"))
        return AuthorizationResult.success()

    async def publish(self: object, event: object, **keywords: object) -> None:
        seen.append(("published", type(event).__name__))

    def metrics(service: str, version: str) -> PrometheusMetrics:
        registries.append(PrometheusMetrics(service, version))
        return registries[-1]

    def all_told() -> Iterator[Told]:
        yield seen + [sample for each in registries for sample in recorded_once(each)]

    monkeypatch.setattr(own.PlaceCheckedOrder, "validate", validate)
    monkeypatch.setattr(own.PlaceCheckedOrder, "authorize", authorize)
    monkeypatch.setattr(NoOpEventPublisher, "publish", publish)
    monkeypatch.setattr(own, "PrometheusMetrics", metrics)
    return all_told()


def recorded_once(metrics: PrometheusMetrics) -> Told:
    """Return the counters and histograms of the buses that hold one record."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples if sample.value == 1]
    counted = [("counted", each.name) for each in samples if each.name.endswith("_total")]
    timed = [("timed", each.name.removesuffix("_count")) for each in samples if each.name.endswith("_seconds_count")]
    return [(how, name) for how, name in counted + timed if name in METRICS]


COMMAND_COUNTED = [("counted", "cqrs_commands_total"), ("timed", "cqrs_command_duration_seconds")]
QUERY_COUNTED = [("counted", "cqrs_queries_total"), ("timed", "cqrs_query_duration_seconds")]
RULES = [("asked", "validate"), ("asked", "authorize")]
EVENT = [("published", "OrderPlaced")]
MISS = [("counted", "cqrs_query_cache_requests_total")]
EXPECTED: dict[str, Told] = {
    "handle directly": [],
    "send": [],
    "send, full": COMMAND_COUNTED,
    "send, full, own rules": RULES + COMMAND_COUNTED,
    "send, full, one event": EVENT + COMMAND_COUNTED,
    "send, every option, traced": RULES + EVENT + COMMAND_COUNTED,
    "query directly": [],
    "query": [],
    "query, full": QUERY_COUNTED,
    "query, full, cached": QUERY_COUNTED[:1] + MISS + QUERY_COUNTED[1:],
}


@pytest.mark.parametrize("key", EXPECTED)
@pytest.mark.asyncio
async def test_a_contestant_answers_and_does_the_work_that_its_line_names(key: str, told: Iterator[Told]) -> None:
    make, send, expected = own.CONTESTANTS[key]()

    assert await send(make(0)) == expected
    assert next(told) == EXPECTED[key]


def test_every_contestant_of_ours_is_in_the_table_and_held_to_its_line() -> None:
    assert list(own.CONTESTANTS) == list(EXPECTED) == [each.key for each in CONTESTANTS if each.file == OWN]


@pytest.mark.asyncio
async def test_the_cached_query_is_a_hit_from_the_second_time_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make, send, expected = own.CONTESTANTS["query, full, cached"]()
    await send(make(0))

    async def never(self: object, query: object) -> str:
        raise AssertionError("the handler ran although the answer is kept")

    monkeypatch.setattr(own.CachedGetOrderHandler, "do_handle", never)

    assert await send(make(7)) == expected


@pytest.mark.asyncio
async def test_the_traced_contestant_records_both_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    class Noting(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span.name)

    def provider(*, shutdown_on_exit: bool) -> TracerProvider:
        made = TracerProvider(shutdown_on_exit=shutdown_on_exit)
        made.add_span_processor(Noting())
        return made

    monkeypatch.setattr(own, "TracerProvider", provider)
    make, send, _ = own.CONTESTANTS["send, every option, traced"]()
    await send(make(0))

    assert ended == ["handle OptionedHandler", "command PlaceCheckedOrder"]
