"""Set tracing up for a process: the provider, what is exported where, and an end that comes in time."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from cqrs.telemetry.correlation_processor import CorrelationSpanProcessor
from cqrs.telemetry.exporters import Exported, StoppableExporter, exporters_from_environment
from cqrs.telemetry.light_spans import LightSpans, limits_are_set
from cqrs.telemetry.span_pipeline import PresetIds, SpanPipeline, SpanSource
from cqrs.telemetry.trace_headers import IgnoredHeader
from cqrs.telemetry.tracer import OpenTelemetryTracer, PassingTracer, count_nothing

# What a shutdown gives the collector of its budget; the rest is for breaking off.
_SHARE_FOR_SENDING = 0.8

_log = logging.getLogger(__name__)


class Tracing:
    """Hold a process's tracing: its tracer, and the way to end it.

    Attributes:
        tracer: The Tracer port.
        provider: The OpenTelemetry provider behind it.
        exporters: Where spans go: `otlp`, `console`, both, or nowhere.
    """

    def __init__(
        self,
        provider: TracerProvider,
        tracer: OpenTelemetryTracer | PassingTracer,
        exporters: dict[str, StoppableExporter],
    ) -> None:
        self.provider = provider
        self.tracer = tracer
        self.exporters = tuple(exporters)
        self._stoppable = tuple(exporters.values())
        self._down: bool | None = None

    def install(self) -> None:
        """Make the provider the process's own, so that spans of `opentelemetry.trace.get_tracer` join our traces.

        OpenTelemetry allows this once per process: call it at start, not in tests.
        """
        trace.set_tracer_provider(self.provider)

    def shutdown(self, timeout: float) -> bool:
        """Send what is left and stop, within `timeout` seconds whatever the collector does.

        OpenTelemetry's own shutdown waits up to 30 s for a collector that does not answer (opentelemetry-python #4568).
        It blocks the calling thread: from a coroutine, call it in a thread.

        Returns:
            True when everything was sent in time; False when spans were given up. Called again, the same answer.
        """
        if self._down is None:
            self._down = self._shut_down(timeout)
        return self._down

    def _shut_down(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        refused = self._refused()
        in_time = _finished_in_time(self.provider.shutdown, timeout * _SHARE_FOR_SENDING)
        if not in_time:
            _finished_in_time(self._stop_exporters, deadline - time.monotonic())
        if in_time and self._refused() == refused:
            return True
        _log.warning("The trace collector did not take the last spans within %.1f s; they are given up.", timeout)
        return False

    def _refused(self) -> int:
        return sum(exporter.refused for exporter in self._stoppable)

    def _stop_exporters(self) -> None:
        for exporter in self._stoppable:
            exporter.shutdown()


def configure_tracing(
    service_name: str,
    version: str,
    *,
    processors: Sequence[SpanProcessor] = (),
    ignored_header: IgnoredHeader = count_nothing,
    exported: Exported | None = None,
) -> Tracing:
    """Set tracing up as the OTEL_* environment variables say.

    OTEL_EXPORTER_OTLP_ENDPOINT alone makes it export. Without any variable spans are made and ids travel, but nothing
    is exported and no thread is started. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over the arguments.

    Args:
        service_name: The service's name, unless the environment names it.
        version: The service's version, unless the environment gives one.
        processors: Further span processors, for example a SpanMemory.
        ignored_header: Told of each W3C header of a record that was not used, and why.
        exported: Told how many spans each exported batch had, and whether the collector took them.

    Raises:
        ConfigurationException: an OTEL_* variable has a value that nobody knows; names every one.
    """
    chosen = exporters_from_environment(exported or _note_nothing)
    # The SDK would end itself at exit, for up to 30 s; `shutdown` is the only end, and has a budget.
    pipeline, ids = SpanPipeline(), PresetIds()
    resource = _resource(service_name, version)
    provider = TracerProvider(
        resource=resource, shutdown_on_exit=False, active_span_processor=pipeline, id_generator=ids
    )
    for processor in (CorrelationSpanProcessor(), *processors, *(processor for processor, _ in chosen.values())):
        provider.add_span_processor(processor)
    exporters = {name: exporter for name, (_, exporter) in chosen.items()}
    made = provider.get_tracer("cqrs", version)
    if not isinstance(made, sdk.Tracer):
        return Tracing(provider, PassingTracer(ignored_header=ignored_header), exporters)
    light = None if limits_are_set() else LightSpans(SpanSource(made, pipeline, ids))
    return Tracing(provider, OpenTelemetryTracer(made, ignored_header=ignored_header, light=light), exporters)


def _resource(service_name: str, version: str) -> Resource:
    own = Resource.create({SERVICE_NAME: service_name, SERVICE_VERSION: version})
    return own.merge(OTELResourceDetector().detect())


def _finished_in_time(work: Callable[[], None], seconds: float) -> bool:
    """Run `work` in a thread that the process does not wait for, and say whether it ended within `seconds`."""
    thread = threading.Thread(target=work, name="tracing-shutdown", daemon=True)
    thread.start()
    thread.join(max(seconds, 0.0))
    return not thread.is_alive()


def _note_nothing(_spans: int, _taken: bool) -> None:
    return
