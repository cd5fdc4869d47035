"""A span that is only noted, until somebody asks more of it; `cqrs.telemetry.light_spans` says why and when."""

import threading
from collections.abc import Mapping, Sequence
from random import getrandbits
from time import time_ns
from types import MappingProxyType
from typing import TypeAlias, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.util import types

from cqrs.telemetry.span_pipeline import SpanSource
from cqrs.telemetry.text import encodable
from cqrs.telemetry.trace_headers import NamingSpan, RemoteSpan
from cqrs.tracing.attributes import CORRELATION_ID
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Attributes, AttributeValue, SpanKind

Place = tuple[int, TraceFlags, TraceState | None]
"""A trace's id, and the flags and the state that spans of it have."""

Outer: TypeAlias = "LightSpan | RemoteSpan | SpanContext | None"
"""What a span knows its parent by; None for a root."""

KINDS = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.PRODUCER: trace.SpanKind.PRODUCER,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
}
"""OpenTelemetry's name of each role."""

_MOST_ATTRIBUTES = 128
"""How many attributes the SDK keeps of a span where no variable says otherwise."""

_promoting = threading.RLock()  # again by the same thread: a processor may ask more of the parent of what is made whole
_NOTHING: dict[str, AttributeValue] = {}
_PLAIN = frozenset({int, bool, float})
_KEPT = _PLAIN | {str}
_UNSET = trace.Status(trace.StatusCode.UNSET)


class LightSpan(NamingSpan, ReadableSpan):
    """Be a span that is only noted, until somebody asks more of it.

    What an exporter reads of it is made when it is read, in the exporter's thread.

    Attributes:
        place: Its trace's id, its flags and its trace's state.
        trace_hex: Its trace's id as 32 hexadecimal digits.
    """

    _ended: int | None = None
    _whole: trace.Span | None = None
    _hex: str | None = None
    _own: SpanContext | None = None
    _is_being_made = False

    def __init__(
        self,
        made_by: SpanSource,
        name: str,
        kind: SpanKind,
        base: Context,
        outer: Outer,
        place: Place,
        trace_hex: str,
        attributes: Attributes,
    ) -> None:
        self._noted = _noted(attributes)
        correlation_id = CorrelationContext.get_correlation_id()
        if correlation_id is not None:
            self._noted[CORRELATION_ID] = correlation_id
        self._correlated = correlation_id
        self._made_by = made_by
        self._name = name
        self._role = kind
        self._base: Context | None = base
        self._outer = outer
        self.place = place
        self._span_id = getrandbits(64) or random_id()
        self.trace_hex = trace_hex
        self._started = time_ns()

    @property
    def span_hex(self) -> str:
        """Return its id as 16 hexadecimal digits."""
        known = self._hex
        if known is None:
            known = self._hex = f"{self._span_id:016x}"
        return known

    @property
    def traceparent(self) -> bytes | None:
        """Return the W3C header that names it, or None when it has a trace state."""
        _, flags, state = self.place
        return None if state else f"00-{self.trace_hex}-{self.span_hex}-{flags:02x}".encode()

    def note(self, key: str, value: AttributeValue) -> None:
        """Set an attribute of ours."""
        if self._whole is not None:
            self._whole.set_attribute(key, carried(value))
        elif self._ended is None:
            self._noted[key] = value if type(value) in _KEPT else carried(value)

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        known = self._own
        if known is None:
            trace_id, flags, state = self.place
            known = self._own = SpanContext(trace_id, self._span_id, False, flags, state)
        return known

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
        ended = time_ns() if end_time is None else end_time
        batches = self._made_by.pipeline.batches
        # A processor that was added while it was open is told of it as of any other span; the SDK bounds attributes.
        if batches is None or self._whole is not None or len(self._noted) > _MOST_ATTRIBUTES:
            whole = self._promoted()
            self._ended = ended
            whole.end(ended)
            return
        self._ended = ended
        self._base = None
        for batch in batches:
            batch.on_end(self)

    # -- as exporters read it, once it has ended; before, it is the SDK's span that is read

    @property
    def name(self) -> str:
        """Return its name."""
        return encodable(self._name) if self._is_noted else self._read.name

    @property
    def context(self) -> SpanContext:
        """Return its ids."""
        return self.get_span_context()

    @property
    def kind(self) -> trace.SpanKind:
        """Return its role."""
        return KINDS[self._role]

    @property
    def parent(self) -> SpanContext | None:
        """Return the ids of its parent, None for a root."""
        outer = self._outer
        return outer.get_span_context() if isinstance(outer, LightSpan | RemoteSpan) else outer

    @property
    def start_time(self) -> int:
        """Return when it began, in nanoseconds since the epoch."""
        return self._started

    @property
    def end_time(self) -> int | None:
        """Return when it ended, in nanoseconds since the epoch; None before."""
        return self._ended

    @property
    def attributes(self) -> types.Attributes:
        """Return its attributes."""
        return MappingProxyType(exportable(self._noted)) if self._is_noted else self._read.attributes

    @property
    def status(self) -> trace.Status:
        """Return how it went: nothing is said of a span that was only noted."""
        return _UNSET if self._is_noted else self._read.status

    @property
    def events(self) -> Sequence[sdk.Event]:
        """Return its events: a span that was only noted has none."""
        return () if self._is_noted else self._read.events

    @property
    def links(self) -> Sequence[trace.Link]:
        """Return its links: a span that was only noted has none."""
        return () if self._is_noted else self._read.links

    @property
    def resource(self) -> Resource:
        """Return what its provider says of the process."""
        return self._made_by.tracer.resource

    @property
    def instrumentation_info(self) -> InstrumentationInfo:
        """Return who made it, as exporters of old ask."""
        return self._made_by.tracer.instrumentation_info

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """Return who made it."""
        return self._made_by.tracer._instrumentation_scope  # noqa: SLF001 - the SDK gives it to its own spans

    @property
    def dropped_attributes(self) -> int:
        """Return how many attributes did not fit: none of a span that was only noted."""
        return 0 if self._is_noted else self._read.dropped_attributes

    @property
    def dropped_events(self) -> int:
        """Return how many events did not fit."""
        return 0 if self._is_noted else self._read.dropped_events

    @property
    def dropped_links(self) -> int:
        """Return how many links did not fit."""
        return 0 if self._is_noted else self._read.dropped_links

    def to_json(self, indent: int | None = 4) -> str:
        """Return it as the SDK writes its own spans."""
        if not self._is_noted:
            return str(self._read.to_json(indent))
        whole = ReadableSpan(
            self.name,
            self.context,
            self.parent,
            self.resource,
            self.attributes,
            kind=self.kind,
            start_time=self._started,
            end_time=self._ended,
            instrumentation_scope=self.instrumentation_scope,
        )
        return str(whole.to_json(indent))

    @property
    def _is_noted(self) -> bool:
        return self._ended is not None and self._whole is None

    @property
    def _read(self) -> ReadableSpan:
        return cast("ReadableSpan", self._promoted())

    # -- as whoever does more with it asks

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

    def _promoted(self) -> trace.Span:
        """Return the SDK's own span in place of this one; of one that has ended, what takes nothing more."""
        with _promoting:
            if self._whole is None:
                if self._ended is not None or self._is_being_made:
                    return trace.NonRecordingSpan(self.context)
                self._is_being_made = True
                try:
                    # Its processors are to see the correlation id under which it began, not the present one.
                    with CorrelationContext.scope(correlation_id=self._correlated):
                        self._whole = self._made_by.ids.during(self.context, self._made_whole)
                finally:
                    self._is_being_made = False
            return self._whole

    def _made_whole(self) -> trace.Span:
        attributes = exportable(self._noted)
        return self._made_by.tracer.start_span(
            encodable(self._name), self._base, self.kind, attributes, start_time=self._started
        )


def _noted(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return attributes as they are now: whoever has the mapping, or a list in it, may change it later."""
    told = attributes() if callable(attributes) else attributes or _NOTHING
    if _KEPT.issuperset(map(type, told.values())):
        return dict(told)
    return {key: carried(value) for key, value in told.items()}


def random_id() -> int:
    """Return a span id, as the SDK's `RandomIdGenerator` makes them."""
    return getrandbits(64) or random_id()


def exportable(noted: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Return attributes as exporters can carry them: the same ones, when there is nothing to change."""
    for value in noted.values():
        kind = type(value)
        if value.isascii() if kind is str else kind in _PLAIN:  # type: ignore[union-attr]  # it is a str there
            continue
        return {key: carried(each) for key, each in noted.items()}
    return noted


def carried(value: AttributeValue) -> AttributeValue:
    """Return the value of an attribute with what UTF-8 cannot hold replaced."""
    if isinstance(value, str):
        return encodable(value)
    return value if isinstance(value, bool | int | float) else tuple(encodable(item) for item in value)
