"""Spans that cost little while the work runs: what the SDK makes of them is made when it is asked for.

A span of the SDK takes 20 to 35 us of the thread that does the work, most of it for checks and locks that guard against
what others may do with it. Nearly every span of ours is begun, given attributes of ours and ended. Such a span is kept
as it is, and becomes a `ReadableSpan` in the thread that exports it. As soon as anybody does more with it (an event, a
status, an attribute of a user's) it becomes the span that the SDK would have made, with the same ids, parent and start,
and is that from then on.

This way is taken only where nobody can see a difference: every span processor is one of ours, the sampler is one of the
SDK's that look at the parent alone, and no limit on attributes is set. Otherwise each span is the SDK's from its start.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from random import getrandbits
from types import MappingProxyType
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import ReadableSpan, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.util import types

from cqrs.telemetry.correlation_processor import CorrelationSpanProcessor
from cqrs.telemetry.text import encodable
from cqrs.telemetry.trace_headers import NamingSpan
from cqrs.tracing.attributes import CORRELATION_ID
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Attributes, AttributeValue

LIMITS: Final = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
)
"""The variables that change what becomes of a plain span; with any of them the SDK makes every span."""

_ALWAYS, _NEVER = "AlwaysOnSampler", "AlwaysOffSampler"
_PARENT_DECIDES = (
    "remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    "localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"
)
_FLAGS = tuple(TraceFlags(bits) for bits in range(4))
_promoting = threading.Lock()


class LightBatchProcessor(BatchSpanProcessor):
    """Queue ended spans for an exporter that makes `ReadableSpan`s of the light ones: see `readable`."""


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
        self._preset.context = context
        try:
            return make()
        finally:
            self._preset.context = None


class LightSpans:
    """Begin light spans for the SDK's `tracer`.

    Args:
        tracer: Makes the spans that others ask more of.
        pipeline: The processors of its provider.
        ids: The ids of its provider.
    """

    def __init__(self, tracer: sdk.Tracer, pipeline: SpanPipeline, ids: PresetIds) -> None:
        self.tracer = tracer
        self.pipeline = pipeline
        self.ids = ids
        self._sampler = tracer.sampler
        self._rule = _rule_of(tracer.sampler)

    @property
    def fit(self) -> bool:
        """Say whether nobody can tell a light span from the SDK's own."""
        return self._rule is not None and self.pipeline.batches is not None

    def begin(
        self, name: str, kind: trace.SpanKind, base: Context, attributes: Attributes
    ) -> "LightSpan | trace.NonRecordingSpan":
        """Begin a span whose parent is the span of `base`; one that is not sampled records nothing.

        Args:
            name: Its name.
            kind: Its role.
            base: The context in which it begins.
            attributes: Its attributes, or what returns them; asked only when they are recorded.
        """
        outer = trace.get_current_span(base)
        if isinstance(outer, LightSpan):  # it is sampled, and so is what is done within it
            above = outer.context
            inner = SpanContext(above.trace_id, _random_id(), False, above.trace_flags, above.trace_state)
            return LightSpan(self, name, kind, base, above, inner, dict(given(attributes)), outer.trace_hex)
        parent: SpanContext | None = outer.get_span_context()
        if parent is not None and parent.is_valid:
            trace_id = parent.trace_id
            state: TraceState | None = parent.trace_state
            random = parent.trace_flags & TraceFlags.RANDOM_TRACE_ID
            decides = self._rule == _PARENT_DECIDES
            sampled = bool(parent.trace_flags & TraceFlags.SAMPLED) if decides else self._rule == _ALWAYS
        else:
            parent, trace_id = None, self.ids.generate_trace_id()
            random = TraceFlags.RANDOM_TRACE_ID if self.ids.is_trace_id_random() else 0
            result = self._sampler.should_sample(base, trace_id, name, kind, None, ())
            sampled, state = result.decision is Decision.RECORD_AND_SAMPLE, result.trace_state
        context = SpanContext(trace_id, _random_id(), False, _FLAGS[sampled | random], state)
        if not sampled:
            return trace.NonRecordingSpan(context)
        return LightSpan(self, name, kind, base, parent, context, dict(given(attributes)), f"{trace_id:032x}")


def _random_id() -> int:
    """Return a span id, as the SDK's `RandomIdGenerator` makes them."""
    return getrandbits(64) or _random_id()


class LightSpan(NamingSpan):
    """Be a span that is only noted, until somebody asks more of it.

    Attributes:
        context: Its ids.
        trace_hex: Its trace id as 32 hexadecimal digits.
    """

    _ended: int | None = None
    _whole: trace.Span | None = None

    def __init__(
        self,
        made_by: LightSpans,
        name: str,
        kind: trace.SpanKind,
        base: Context,
        parent: SpanContext | None,
        context: SpanContext,
        attributes: dict[str, AttributeValue],
        trace_hex: str,
    ) -> None:
        correlation_id = CorrelationContext.get_correlation_id()
        if correlation_id is not None:
            attributes[CORRELATION_ID] = correlation_id
        self._made_by = made_by
        self._name = name
        self._kind = kind
        self._base: Context | None = base
        self._parent = parent
        self.context = context
        self._noted = attributes
        self.trace_hex = trace_hex
        self._started = time.time_ns()

    @cached_property
    def span_hex(self) -> str:
        """Return its id as 16 hexadecimal digits."""
        return f"{self.context.span_id:016x}"

    @property
    def traceparent(self) -> bytes | None:
        """Return the W3C header that names it, or None when it has a trace state."""
        if self.context.trace_state:
            return None
        return f"00-{self.trace_hex}-{self.span_hex}-{self.context.trace_flags:02x}".encode()

    def note(self, key: str, value: AttributeValue) -> None:
        """Set an attribute of ours."""
        if self._whole is not None:
            self._whole.set_attribute(key, carried(value))
        elif self._ended is None:
            self._noted[key] = value

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        return self.context

    def is_recording(self) -> bool:
        """Say whether it has not ended yet."""
        return self._ended is None

    def end(self, end_time: int | None = None) -> None:
        """End it, and hand it to the exporters; harmless when it has ended.

        Args:
            end_time: Nanoseconds since the epoch; None for now.
        """
        if self._ended is not None:
            return
        ended = time.time_ns() if end_time is None else end_time
        batches = self._made_by.pipeline.batches
        # A processor that was added while it was open is told of it as of any other span.
        whole = self._promoted() if batches is None else self._whole
        self._ended = ended
        if whole is not None:
            whole.end(ended)
            return
        self._base = None
        for batch in batches or ():
            batch.on_end(self)  # type: ignore[arg-type]  # it asks for `context` alone; the exporter makes the rest

    def readable(self) -> ReadableSpan:
        """Return it as exporters are given spans; it has ended."""
        tracer = self._made_by.tracer
        return ReadableSpan(
            name=encodable(self._name),
            context=self.context,
            parent=self._parent,
            resource=tracer.resource,
            attributes=MappingProxyType({key: carried(value) for key, value in self._noted.items()}),
            kind=self._kind,
            instrumentation_info=tracer.instrumentation_info,
            instrumentation_scope=tracer._instrumentation_scope,  # noqa: SLF001 - the SDK gives it to its own spans
            start_time=self._started,
            end_time=self._ended,
        )

    def set_attribute(self, key: str, value: types.AttributeValue) -> None:
        """Set an attribute, as the SDK does."""
        self._promoted().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, types.AttributeValue]) -> None:
        """Set attributes, as the SDK does."""
        self._promoted().set_attributes(attributes)

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """Add an event, as the SDK does."""
        self._promoted().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: types.Attributes = None) -> None:
        """Add a link, as the SDK does."""
        self._promoted().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Change its name, as the SDK does."""
        self._promoted().update_name(name)

    def set_status(self, status: trace.Status | trace.StatusCode, description: str | None = None) -> None:
        """Set its status, as the SDK does."""
        self._promoted().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception, as the SDK does."""
        self._promoted().record_exception(exception, attributes, timestamp, escaped)

    def __getattr__(self, name: str) -> object:
        """Return what the SDK's spans have beyond the API: `name`, `attributes`, `parent`, ..."""
        if name.startswith("__"):
            raise AttributeError(name)
        ended = self._ended is not None and self._whole is None
        return getattr(self.readable() if ended else self._promoted(), name)

    def _promoted(self) -> trace.Span:
        """Return the SDK's own span in place of this one; of one that has ended, what takes nothing more."""
        with _promoting:
            if self._whole is None:
                if self._ended is not None:
                    return trace.NonRecordingSpan(self.context)
                made_by, base = self._made_by, self._base
                attributes = {key: carried(value) for key, value in self._noted.items()}
                self._whole = made_by.ids.during(
                    self.context,
                    lambda: made_by.tracer.start_span(
                        encodable(self._name), base, self._kind, attributes, start_time=self._started
                    ),
                )
            return self._whole


def _rule_of(sampler: Sampler) -> str | None:
    """Return how a sampler of the SDK's decides by the parent alone; None when it may look at more, or is a user's."""
    if type(sampler).__module__ != Sampler.__module__:
        return None
    told = sampler.get_description()
    if told in {_ALWAYS, _NEVER}:
        return told
    return _PARENT_DECIDES if told.startswith("ParentBased{") and told.endswith(_PARENT_DECIDES) else None


def limits_are_set() -> bool:
    """Say whether the environment limits or counts what spans hold, so that the SDK must make every one."""
    return any(os.environ.get(name) for name in LIMITS)


def given(attributes: Attributes) -> Mapping[str, AttributeValue]:
    """Return attributes, asking for them when they are to be asked for."""
    if attributes is None:
        return {}
    return attributes() if callable(attributes) else attributes


def carried(value: AttributeValue) -> AttributeValue:
    """Return the value of an attribute with what UTF-8 cannot hold replaced."""
    if isinstance(value, str):
        return encodable(value)
    return value if isinstance(value, bool | int | float) else tuple(encodable(item) for item in value)
