"""A service's tracing as it is configured, with light spans or with the SDK's own, and what it exports."""

from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cqrs.telemetry.tracing import Tracing, configure_tracing
from cqrs.tracing.tracer import Headers, Tracer

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def sent(flags: str, *more: tuple[str, bytes]) -> Headers:
    return (("traceparent", f"00-{TRACE}-{SENDER}-{flags}".encode()), *more)


class Kept(SpanExporter):
    """Keep what it is given, as any exporter may."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


class Seeing(SpanProcessor):
    """Be a user's processor; one that stands by keeps every span the SDK's."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class Traced:
    """A service's tracing as it is configured, light or with the SDK's spans alone, and what it exports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, light: bool) -> None:
        self.exporter = Kept()
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", lambda: self.exporter)
        self.tracing: Tracing = configure_tracing("orders", "1.2", processors=() if light else (Seeing(),))
        self.tracer: Tracer = self.tracing.tracer

    @property
    def exported(self) -> list[ReadableSpan]:
        self.tracing.provider.force_flush()
        return self.exporter.spans

    @property
    def foreign(self) -> trace.Tracer:
        """The tracer of a user's own library."""
        return self.tracing.provider.get_tracer("theirs", "3")
