"""What the SDK's provider is built from, so that light spans can be made beside its own: processors and ids."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import ReadableSpan, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import SpanContext

from cqrs.telemetry.correlation_processor import CorrelationSpanProcessor
from cqrs.telemetry.trace_headers import NamingSpan


class LightBatchProcessor(BatchSpanProcessor):
    """Queue ended spans for an exporter, light ones without a look at their context: they are sampled."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span."""
        if type(span) in NamingSpan.kinds:
            self._batch_processor.emit(span)
        else:
            super().on_end(span)


class SpanPipeline(SynchronousMultiSpanProcessor):
    """Call every span processor, and know whether all of them take light spans.

    Attributes:
        batches: Where light spans go when they end; None when some processor must see the SDK's own.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batches: tuple[LightBatchProcessor, ...] | None = ()

    def add_span_processor(self, span_processor: sdk.SpanProcessor) -> None:
        """Add a processor behind the others."""
        super().add_span_processor(span_processor)
        if isinstance(span_processor, LightBatchProcessor):
            self.batches = None if self.batches is None else (*self.batches, span_processor)
        elif not isinstance(span_processor, CorrelationSpanProcessor):
            self.batches = None


class PresetIds(IdGenerator):
    """Make random ids, or those that a light span has already."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._preset = threading.local()

    def generate_trace_id(self) -> int:
        """Return the preset trace id, or a new one."""
        context: SpanContext | None = getattr(self._preset, "context", None)
        return self._random.generate_trace_id() if context is None else context.trace_id

    def generate_span_id(self) -> int:
        """Return the preset span id, or a new one."""
        context: SpanContext | None = getattr(self._preset, "context", None)
        return self._random.generate_span_id() if context is None else context.span_id

    def is_trace_id_random(self) -> bool:
        """Say whether the seven rightmost bytes of trace ids are random, as the trace flags tell."""
        return self._random.is_trace_id_random()

    def during(self, context: SpanContext, make: Callable[[], trace.Span]) -> trace.Span:
        """Return what `make` makes, with the ids of `context`."""
        before: SpanContext | None = getattr(self._preset, "context", None)
        self._preset.context = context
        try:
            return make()
        finally:
            self._preset.context = before


@dataclass(frozen=True, slots=True)
class SpanSource:
    """Hold what makes the SDK's own spans, and what becomes of them.

    Attributes:
        tracer: Makes them.
        pipeline: The processors of its provider.
        ids: The ids of its provider.
    """

    tracer: sdk.Tracer
    pipeline: SpanPipeline
    ids: PresetIds
