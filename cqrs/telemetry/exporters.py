"""Choose span exporters as the OTEL_* environment variables say, and keep them from holding the service up.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/, with two differences: without
any variable nothing is exported (there, `otlp` to localhost is the default), and a value that nobody knows is an error
at start instead of a warning.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import (
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from cqrs.exceptions import ConfigurationException
from cqrs.telemetry.span_pipeline import LightBatchProcessor

EXPORTERS: Final = ("none", "console", "otlp")
PROTOCOLS: Final = ("http/protobuf", "grpc")
RATIO_SAMPLERS: Final = ("traceidratio", "parentbased_traceidratio")
SAMPLERS: Final = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *RATIO_SAMPLERS)

Exported = Callable[[int, bool], None]
"""Be told how many spans a batch had and whether the collector took them."""


class StoppableExporter(SpanExporter):
    """Wrap an exporter so that it can be shut down from any thread, once, and say what became of each batch.

    Args:
        exporter: The exporter that sends the spans.
        exported: Told of each batch.

    Attributes:
        refused: How many spans were not taken.
    """

    def __init__(self, exporter: SpanExporter, exported: Exported) -> None:
        self._exporter = exporter
        self._exported = exported
        self._stopped = threading.Event()
        self._stopping = threading.Lock()
        self.refused = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`, unless the exporter has been shut down."""
        taken = False
        try:
            result = SpanExportResult.FAILURE if self._stopped.is_set() else self._exporter.export(spans)
            taken = result is SpanExportResult.SUCCESS
            return result
        finally:
            self.refused += 0 if taken else len(spans)
            self._exported(len(spans), taken)

    def shutdown(self) -> None:
        """Shut the exporter down and break off its waiting between attempts; harmless when called again."""
        with self._stopping:
            if self._stopped.is_set():
                return
            self._stopped.set()
        self._exporter.shutdown()


def environment_problems() -> list[str]:
    """Say what is wrong with the OTEL_* variables that decide exporters and sampling, a sentence each."""
    problems = [_unknown("OTEL_TRACES_EXPORTER", name, EXPORTERS) for name in _exporter_names()]
    problems.append(_unknown(*_protocol(), PROTOCOLS))
    if sampler := _variable("OTEL_TRACES_SAMPLER").lower():
        problems.append(_unknown("OTEL_TRACES_SAMPLER", sampler, SAMPLERS))
        problems.append(_ratio_problem(sampler))
    return [problem for problem in problems if problem]


def exporters_from_environment(exported: Exported) -> dict[str, tuple[SpanProcessor, StoppableExporter]]:
    """Return, by exporter name, the processor to add to the provider and the exporter behind it.

    An endpoint alone (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) means `otlp`. Nothing is
    returned, and no thread is started, without any variable and with OTEL_SDK_DISABLED=true.

    Args:
        exported: Told of each batch.

    Raises:
        ConfigurationException: a variable has a value that nobody knows; names every one.
    """
    if problems := environment_problems():
        raise ConfigurationException(problems)
    if _variable("OTEL_SDK_DISABLED").lower() == "true":
        return {}
    return {name: _processor(name, exported) for name in _exporter_names() if name != "none"}


def _exporter_names() -> list[str]:
    named = _variable("OTEL_TRACES_EXPORTER").lower()
    if named:
        return list(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    endpoint = _variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or _variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    return ["otlp"] if endpoint else []


def _processor(name: str, exported: Exported) -> tuple[SpanProcessor, StoppableExporter]:
    if name == "console":
        exporter = StoppableExporter(ConsoleSpanExporter(out=sys.stdout), exported)
        return SimpleSpanProcessor(exporter), exporter
    exporter = StoppableExporter(_otlp_exporter(), exported)
    return LightBatchProcessor(exporter), exporter


def _otlp_exporter() -> SpanExporter:
    # Imported here because each brings a client library that a service that exports nothing need not load.
    if _protocol()[1] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        return GrpcSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

    return HttpSpanExporter()


def _protocol() -> tuple[str, str]:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if value := _variable(variable):
            return variable, value
    return "OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOLS[0]


def _ratio_problem(sampler: str) -> str | None:
    ratio = _variable("OTEL_TRACES_SAMPLER_ARG")
    if sampler not in RATIO_SAMPLERS or not ratio:
        return None
    try:
        fits = 0.0 <= float(ratio) <= 1.0
    except ValueError:
        fits = False
    return None if fits else f"OTEL_TRACES_SAMPLER_ARG={ratio} is not a number from 0 to 1; {sampler} needs one."


def _unknown(variable: str, value: str, known: Sequence[str]) -> str | None:
    if value in known:
        return None
    near = get_close_matches(value, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}."
    return f"{variable}={value} is not known here; {hint}"


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
