"""The MetricsRegistry port on prometheus_client."""

import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from opentelemetry import trace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from cqrs.command import metrics as bus
from cqrs.messaging import gauges as delivery_gauges
from cqrs.messaging import metrics as delivery
from cqrs.messaging.gauges import Reading
from cqrs.telemetry.light_span import LightSpan
from cqrs.telemetry.tallies import Tallies, Tally
from cqrs.telemetry.text import encodable

IGNORED_TRACE_HEADERS: Final = "cqrs_trace_ignored_headers_total"
EXPORTED_SPANS: Final = "cqrs_trace_exported_spans_total"

MetricTable = Mapping[str, tuple[tuple[str, ...], str]]
"""Metrics by name: their label names in order, and their description."""

METRICS: MetricTable = {
    IGNORED_TRACE_HEADERS: (
        ("header", "reason"),
        "W3C headers of records that were not used: null, not_utf8, malformed or repeated.",
    ),
    EXPORTED_SPANS: (("outcome",), "Spans handed to the trace exporter, by outcome: taken or refused."),
}
"""Every metric of the telemetry itself: its label names in order, and its description."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0)
"""Upper bounds in seconds: those of OpenTelemetry's messaging conventions, with finer and coarser ends."""

PLAIN_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

OTHER: Final = "other"
"""The value of every label of a series past the limit."""

Labels = tuple[str, ...]

_EXEMPLAR_SECONDS = 0.2
"""How often a series takes an exemplar, unless one took twice as long as the last: each replaces the one before."""

M = TypeVar("M")

_log = logging.getLogger(__name__)


class _Series(Generic[M]):
    """Find the series of one metric by its label values, and keep their number bounded."""

    def __init__(self, name: str, make: Callable[..., M], label_names: Labels, limit: int) -> None:
        self._name = name
        self._make = make
        self._label_names = label_names
        self._limit = limit
        self._known: dict[Labels, M] = {}

    def of(self, labels: Mapping[str, str]) -> M:
        """Return the series with these labels; past the limit the one series for all others."""
        try:
            values = tuple(map(labels.__getitem__, self._label_names))
        except KeyError as error:
            raise ValueError(f"{self._name} needs the labels {self._label_names}, and got {sorted(labels)}.") from error
        known = self._known.get(values)
        return self._admit(values) if known is None else known

    def _admit(self, values: Labels) -> M:
        if len(self._known) >= self._limit:
            _log.debug("%s has %d series already; %s is counted as other.", self._name, self._limit, values)
            return self._make(*(OTHER for _ in values))
        # Kept under what was given, so that a label that had to be changed is found again.
        self._known[values] = self._make(*map(encodable, values))
        return self._known[values]


class PrometheusMetrics:
    """Keep the counters and histograms of a service in a registry of its own, and render them.

    Created-timestamps of prometheus_client are switched off for the process: they double every series.

    Args:
        service: The service's name, for `cqrs_build_info`.
        version: The service's version, for `cqrs_build_info`.
        tables: Further metrics beside those of the buses, of delivery and of the telemetry itself.
        max_series: How many label combinations one metric may have; further ones are counted under `other`.
        clock: Seconds that only grow, for the age of exemplars.
    """

    def __init__(
        self,
        service: str,
        version: str,
        *,
        tables: tuple[MetricTable, ...] = (),
        max_series: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self.registry = CollectorRegistry()
        self._tallies = Tallies()
        self.registry.register(self._tallies)
        self._counters: dict[str, _Series[Counter]] = {}
        self._histograms: dict[str, _Series[Histogram]] = {}
        for table in (bus.METRICS, delivery.METRICS, METRICS, *tables):
            for name, (label_names, description) in table.items():
                self._declare(name, label_names, description, max_series)
        build = {"service": service, "version": version, "python_version": platform.python_version()}
        Info("cqrs_build", "What is running.", registry=self.registry).info(build)
        ProcessCollector(registry=self.registry)
        self._live = _LiveNumbers(delivery_gauges.GAUGES)
        self.registry.register(self._live)

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        """Add one to the counter `name`.

        Raises:
            ValueError: no table declares such a counter, or it has other labels.
        """
        self._add(name, 1, labels)

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        """Record one duration in the histogram `name`.

        Raises:
            ValueError: no table declares such a histogram, or it has other labels.
        """
        self._histogram(name).of(labels).observe(seconds, _exemplar())

    def recorder(self, counter: str, histogram: str, labels: Mapping[str, str]) -> Callable[[float], None]:
        """Return what adds one to `counter` and records its argument, seconds, in `histogram`: both found once.

        Raises:
            ValueError: no table declares such a counter or histogram, or it has other labels.
        """
        counted, timed = self._counter(counter).of(labels), self._histogram(histogram).of(labels)
        tally, clock = self._tallies.add(Tally(counted, timed)), self._clock
        note, told_at, told = tally.note, -_EXEMPLAR_SECONDS, 0.0

        def record(seconds: float) -> None:
            nonlocal told_at, told
            now = clock()
            if seconds < 2 * told and now - told_at < _EXEMPLAR_SECONDS:
                note(seconds)
                if tally.is_full():
                    tally.add_up()
                return
            told_at, told = now, seconds
            exemplar = _exemplar()
            counted.inc(1, exemplar)
            timed.observe(seconds, exemplar)

        return record

    def read_from(self, source: Callable[[], Iterable[Reading]]) -> None:
        """Take the numbers of `GAUGES` from `source` whenever the metrics are rendered, in the renderer's thread."""
        self._live.source = source

    def count_ignored_header(self, header: str, reason: str) -> None:
        """Count a W3C header that was not used; pass it to `configure_tracing(ignored_header=...)`."""
        self._add(IGNORED_TRACE_HEADERS, 1, {"header": header, "reason": reason})

    def count_exported_spans(self, spans: int, taken: bool) -> None:
        """Count a batch of exported spans; pass it to `configure_tracing(exported=...)`."""
        self._add(EXPORTED_SPANS, spans, {"outcome": "taken" if taken else "refused"})

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics as text, and its content type.

        Args:
            accept: The request's `Accept` header: OpenMetrics, which has exemplars, when it asks for it.
        """
        # Not prometheus_client's choose_encoder: it raises for a version that is not a number.
        if "application/openmetrics-text" in accept.lower():
            body: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return body, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), PLAIN_TEXT

    def _add(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        self._counter(name).of(labels).inc(amount, _exemplar())

    def _counter(self, name: str) -> _Series[Counter]:
        if name not in self._counters:
            raise ValueError(_undeclared(name, self._counters))
        return self._counters[name]

    def _histogram(self, name: str) -> _Series[Histogram]:
        if name not in self._histograms:
            raise ValueError(_undeclared(name, self._histograms))
        return self._histograms[name]

    def _declare(self, name: str, label_names: Labels, description: str, limit: int) -> None:
        if name.endswith("_seconds"):
            histogram = Histogram(name, description, label_names, registry=self.registry, buckets=BUCKETS)
            self._histograms[name] = _Series(name, histogram.labels, label_names, limit)
        else:
            counter = Counter(name, description, label_names, registry=self.registry)
            self._counters[name] = _Series(name, counter.labels, label_names, limit)


class _LiveNumbers(Collector):
    """Ask a source for its numbers whenever the registry is collected."""

    def __init__(self, table: MetricTable) -> None:
        self._table = table
        self.source: Callable[[], Iterable[Reading]] = tuple

    def collect(self) -> Iterator[Metric]:
        """Return the families with the numbers of this moment; what cannot be read is left out, and logged."""
        families = self._families()
        try:
            for reading in self.source():
                families[reading.name].add_metric(tuple(map(encodable, reading.labels)), reading.value)
        except Exception:  # noqa: BLE001 - the other metrics are served all the same
            _log.exception("Not all live numbers could be read")
        return iter(families.values())

    def _families(self) -> dict[str, CounterMetricFamily | GaugeMetricFamily]:
        return {
            name: (CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily)(
                name, description, labels=label_names
            )
            for name, (label_names, description) in self._table.items()
        }


def _undeclared(name: str, declared: Mapping[str, object]) -> str:
    return f"{name} is in no table of metrics; declare it in one, or use one of {', '.join(sorted(declared))}."


def _exemplar() -> dict[str, str] | None:
    span = trace.get_current_span()
    if type(span) is LightSpan:
        return {"trace_id": span.trace_hex, "span_id": span.span_hex} if span.is_recording() else None
    if not span.is_recording() or not (context := span.get_span_context()).trace_flags.sampled:
        return None
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
