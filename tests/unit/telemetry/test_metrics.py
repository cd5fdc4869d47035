from collections.abc import Iterator

import pytest
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cqrs.command import metrics as bus
from cqrs.command.metrics import COMMAND_DURATION, COMMANDS, RETRIES, MetricsRegistry, RecorderMaking
from cqrs.messaging import metrics as delivery
from cqrs.messaging.gauges import Reading
from cqrs.telemetry.metrics import BUCKETS, EXPORTED_SPANS, IGNORED_TRACE_HEADERS, PrometheusMetrics

CREATED = {"type": "orders.CreateOrder", "outcome": "success"}


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics("orders", "1.2.3")


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    token = attach(Context())
    yield TracerProvider(shutdown_on_exit=False)
    detach(token)


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_it_is_the_registry_port(metrics: PrometheusMetrics) -> None:
    port: MetricsRegistry = metrics
    port.increment(COMMANDS, CREATED)
    port.observe(COMMAND_DURATION, 0.5, CREATED)
    assert value(metrics, COMMANDS, **CREATED) == 1
    assert value(metrics, COMMAND_DURATION + "_count", **CREATED) == 1
    assert value(metrics, COMMAND_DURATION + "_sum", **CREATED) == 0.5


@pytest.mark.parametrize("table", [bus.METRICS, delivery.METRICS])
def test_every_metric_of_the_tables_is_kept(
    metrics: PrometheusMetrics, table: dict[str, tuple[tuple[str, ...], str]]
) -> None:
    for name, (labels, _) in table.items():
        given = dict.fromkeys(labels, "x")
        if name.endswith("_seconds"):
            metrics.observe(name, 1.0, given)
            assert value(metrics, name + "_count", **given) == 1
        else:
            metrics.increment(name, given)
            assert value(metrics, name, **given) == 1


def test_a_service_may_declare_metrics_of_its_own() -> None:
    metrics = PrometheusMetrics("orders", "1", tables=({"orders_total": (("currency",), "Orders.")},))
    metrics.increment("orders_total", {"currency": "EUR"})
    assert value(metrics, "orders_total", currency="EUR") == 1


def test_two_registries_know_nothing_of_each_other(metrics: PrometheusMetrics) -> None:
    metrics.increment(RETRIES, {"type": "a"})
    assert value(PrometheusMetrics("orders", "1"), RETRIES, type="a") is None


def test_durations_fall_into_buckets(metrics: PrometheusMetrics) -> None:
    metrics.observe(COMMAND_DURATION, 0.004, CREATED)
    bucket = COMMAND_DURATION + "_bucket"
    assert value(metrics, bucket, le="0.0025", **CREATED) == 0
    assert value(metrics, bucket, le="0.005", **CREATED) == 1
    assert {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10} <= set(BUCKETS)


def test_an_undeclared_name_is_an_error_that_says_what_to_do(metrics: PrometheusMetrics) -> None:
    with pytest.raises(ValueError, match=r"cqrs_typo_total is in no table.*cqrs_commands_total"):
        metrics.increment("cqrs_typo_total", {})
    with pytest.raises(ValueError, match=r"cqrs_commands_total is in no table.*cqrs_command_duration_seconds"):
        metrics.observe(COMMANDS, 1.0, CREATED)


def test_a_recorder_counts_and_times_in_the_same_series(metrics: PrometheusMetrics) -> None:
    assert isinstance(metrics, RecorderMaking)
    record = metrics.recorder(COMMANDS, COMMAND_DURATION, CREATED)
    assert value(metrics, COMMANDS, **CREATED) == 0

    record(0.5)
    record(0.25)
    metrics.increment(COMMANDS, CREATED)

    assert value(metrics, COMMANDS, **CREATED) == 3
    assert value(metrics, COMMAND_DURATION + "_count", **CREATED) == 2
    assert value(metrics, COMMAND_DURATION + "_sum", **CREATED) == 0.75


@pytest.mark.parametrize(("counter", "histogram"), [(COMMANDS, "typo_seconds"), ("typo", COMMAND_DURATION)])
def test_a_recorder_of_an_undeclared_metric_is_an_error(
    metrics: PrometheusMetrics, counter: str, histogram: str
) -> None:
    with pytest.raises(ValueError, match="typo"):
        metrics.recorder(counter, histogram, CREATED)


def test_a_missing_label_is_an_error_that_names_them(metrics: PrometheusMetrics) -> None:
    with pytest.raises(
        ValueError, match=r"cqrs_commands_total needs the labels \('type', 'outcome'\), and got \['type'\]"
    ):
        metrics.increment(COMMANDS, {"type": "x"})


def test_the_number_of_series_is_bounded() -> None:
    metrics = PrometheusMetrics("orders", "1", max_series=2)
    for kind in ("a", "b", "c", "d", "a"):
        metrics.increment(RETRIES, {"type": kind})
    assert [value(metrics, RETRIES, type=kind) for kind in ("a", "b", "c", "other")] == [2, 1, None, 2]


def test_a_label_that_utf8_cannot_hold_does_not_break_the_page() -> None:
    metrics = PrometheusMetrics("orders", "1", max_series=1)
    metrics.increment(RETRIES, {"type": "a\ud800"})
    metrics.increment(RETRIES, {"type": "a\ud800"})
    assert b'cqrs_handler_retries_total{type="a?"} 2.0' in metrics.render()[0]


def test_what_is_running_is_told(metrics: PrometheusMetrics) -> None:
    assert b'cqrs_build_info{python_version="3.' in metrics.render()[0]
    assert b'service="orders",version="1.2.3"} 1.0' in metrics.render()[0]


def test_ignored_headers_and_exported_spans_are_counted(metrics: PrometheusMetrics) -> None:
    metrics.count_ignored_header("traceparent", "not_utf8")
    metrics.count_exported_spans(7, True)
    metrics.count_exported_spans(2, False)
    assert value(metrics, IGNORED_TRACE_HEADERS, header="traceparent", reason="not_utf8") == 1
    assert value(metrics, EXPORTED_SPANS, outcome="taken") == 7
    assert value(metrics, EXPORTED_SPANS, outcome="refused") == 2


def test_plain_text_is_rendered_unless_openmetrics_is_asked_for(metrics: PrometheusMetrics) -> None:
    metrics.increment(COMMANDS, CREATED)
    body, content_type = metrics.render("text/html, */*")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "cqrs_commands" in {family.name for family in parse_text(body.decode())}


def test_openmetrics_has_exemplars_of_the_recording_span(metrics: PrometheusMetrics, provider: TracerProvider) -> None:
    with provider.get_tracer("test").start_as_current_span("work") as span:
        metrics.increment(COMMANDS, CREATED)
        metrics.observe(COMMAND_DURATION, 0.5, CREATED)
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    exemplars = {sample.name: sample.exemplar.labels for sample in samples if sample.exemplar}
    context = span.get_span_context()
    ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    assert exemplars == {COMMANDS: ids, COMMAND_DURATION + "_bucket": ids}


def test_a_recorder_leaves_the_exemplar_of_the_span_at_hand(
    metrics: PrometheusMetrics, provider: TracerProvider
) -> None:
    record = metrics.recorder(COMMANDS, COMMAND_DURATION, CREATED)
    with provider.get_tracer("t").start_as_current_span("s") as span:
        record(0.2)
    trace_id = f'trace_id="{span.get_span_context().trace_id:032x}"'
    body = metrics.render("application/openmetrics-text; version=1.0.0")[0].decode()

    marked = [line for line in body.splitlines() if trace_id in line]
    assert [line.partition("{")[0] for line in marked] == [COMMANDS, COMMAND_DURATION + "_bucket"]


@pytest.mark.parametrize(("later", "seconds", "marked"), [(0.1, 0.5, False), (0.1, 1.0, True), (0.2, 0.5, True)])
def test_a_recorder_takes_another_exemplar_when_the_last_is_old_or_half_as_slow(
    provider: TracerProvider, later: float, seconds: float, marked: bool
) -> None:
    now = 7.0
    metrics = PrometheusMetrics("orders", "1", clock=lambda: now)
    record = metrics.recorder(COMMANDS, COMMAND_DURATION, CREATED)
    record(0.5)
    now += later
    with provider.get_tracer("t").start_as_current_span("s") as span:
        record(seconds)
    trace_id = f'trace_id="{span.get_span_context().trace_id:032x}"'

    assert (trace_id in metrics.render("application/openmetrics-text; version=1.0.0")[0].decode()) is marked
    assert value(metrics, COMMANDS, **CREATED) == value(metrics, COMMAND_DURATION + "_count", **CREATED) == 2


def test_no_exemplar_leads_to_a_trace_that_is_not_kept(metrics: PrometheusMetrics) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("work"):
        metrics.increment(COMMANDS, CREATED)
    assert b"trace_id" not in metrics.render("application/openmetrics-text; version=1.0.0")[0]


@pytest.mark.parametrize(
    "accept", ["", ";;;", "application/openmetrics-text; version=x.y", "text/plain; version=", "a/b; escaping=\u00e9"]
)
def test_whatever_a_client_asks_for_it_gets_metrics(metrics: PrometheusMetrics, accept: str) -> None:
    assert b"cqrs_build_info" in metrics.render(accept)[0]


def test_series_are_not_doubled_by_created_timestamps(metrics: PrometheusMetrics) -> None:
    metrics.increment(COMMANDS, CREATED)
    assert b"_created" not in metrics.render()[0]


def test_live_numbers_are_taken_when_they_are_asked_for() -> None:
    metrics = PrometheusMetrics("orders", "1")
    in_work = 3

    def source() -> Iterator[Reading]:
        yield Reading("messaging_in_flight_records", ("g",), in_work)
        yield Reading("messaging_rebalances_total", ("g\ud800",), 2)

    metrics.read_from(source)
    assert b'messaging_in_flight_records{group="g"} 3.0' in metrics.render()[0]
    in_work = 4
    text = metrics.render()[0]
    assert b'messaging_in_flight_records{group="g"} 4.0' in text
    assert b'messaging_rebalances_total{group="g' in text


def test_a_source_that_fails_costs_no_other_metric(caplog: pytest.LogCaptureFixture) -> None:
    metrics = PrometheusMetrics("orders", "1")

    def source() -> Iterator[Reading]:
        yield Reading("messaging_in_flight_records", ("g",), 3)
        raise ZeroDivisionError

    metrics.read_from(source)
    text = metrics.render()[0]

    assert b'messaging_in_flight_records{group="g"} 3.0' in text
    assert b"cqrs_build_info" in text
    assert "Not all live numbers could be read" in caplog.text
