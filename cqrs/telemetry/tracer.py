"""The Tracer port on OpenTelemetry."""

import asyncio
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
)
from opentelemetry.trace import StatusCode

from cqrs.telemetry.light_span import KINDS, LightSpan, carried
from cqrs.telemetry.light_spans import LightSpans, given
from cqrs.telemetry.text import encodable, error_message, error_name, error_stacktrace
from cqrs.telemetry.trace_headers import SPAN_KEY, IgnoredHeader, read_context, write_context
from cqrs.tracing import attributes as names
from cqrs.tracing.tracer import Attributes, AttributeValue, Headers, NoTracer, Span, SpanKind


def count_nothing(_header: str, _reason: str) -> None:
    """Leave an ignored header uncounted."""


class OpenTelemetryTracer:
    """Open spans on an OpenTelemetry tracer, and carry their W3C context in record headers.

    Args:
        tracer: The OpenTelemetry tracer that makes the spans.
        ignored_header: Told of each W3C header that was not used, and why.
        light: Makes the spans where nobody can tell the difference; None leaves all of them to `tracer`.
    """

    def __init__(
        self,
        tracer: trace.Tracer,
        *,
        ignored_header: IgnoredHeader = count_nothing,
        light: LightSpans | None = None,
    ) -> None:
        self._tracer = tracer
        self._ignored_header = ignored_header
        self._light = light

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        parent: Headers | None = None,
        link: Headers | None = None,
    ) -> AbstractContextManager[Span]:
        """Open a span that is current inside the `with` block and ends with it.

        An exception that leaves the block is recorded as an event, gives the span the status ERROR, and goes on.
        Cancellation is neither success nor error: the span gets `cqrs.cancelled` and keeps the status UNSET.

        Args:
            name: The span's name.
            kind: Its role.
            attributes: Attributes known at the start, so that a sampler sees them, or what returns them.
            parent: Record headers whose W3C trace context is the parent; None takes the current span. Headers without
                a valid `traceparent` begin a new trace.
            link: Headers whose W3C trace context is told as a link; those without a valid `traceparent` link nothing.
        """
        return _OpenSpan(self, name, kind, attributes, parent, link)

    def inject(self) -> Headers:
        """Return the W3C headers (`traceparent`, `tracestate`, `baggage`) of the current span, each at most once."""
        return write_context()

    def begin(
        self, name: str, kind: SpanKind, base: Context, attributes: Attributes, link: Headers | None
    ) -> trace.Span:
        """Begin a span as a child of the span of `base`; it is not the current one yet."""
        light = self._light
        if light is not None and link is None and light.fit:
            return light.begin(name, kind, base, attributes)
        return self._tracer.start_span(
            encodable(name),
            context=base,
            kind=KINDS[kind],
            attributes={key: carried(value) for key, value in given(attributes).items()},
            links=self._links(link),
        )

    def context_of(self, headers: Headers) -> Context:
        """Return the trace context and the baggage of record headers."""
        return read_context(headers, self._ignored_header)

    def _links(self, headers: Headers | None) -> list[trace.Link]:
        if headers is None:
            return []
        linked = trace.get_current_span(self.context_of(headers)).get_span_context()
        return [trace.Link(linked)] if linked.is_valid else []


class PassingTracer(NoTracer):
    """Make no spans (OTEL_SDK_DISABLED), and pass on the trace context and the baggage of the sender.

    Args:
        ignored_header: Told of each W3C header that was not used, and why.
    """

    def __init__(self, *, ignored_header: IgnoredHeader = count_nothing) -> None:
        self._ignored_header = ignored_header

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        parent: Headers | None = None,
        link: Headers | None = None,
    ) -> AbstractContextManager[Span]:
        """Make the context of `parent` current for the block; without a parent leave the current one as it is."""
        if parent is None:
            return super().span(name)
        return _Passing(read_context(parent, self._ignored_header))

    def inject(self) -> Headers:
        """Return the W3C headers of the sender's span and the current baggage, each at most once."""
        return write_context()


class _Passing:
    __slots__ = ("_context", "_token")

    trace_id: str | None = None
    span_id: str | None = None

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def set(self, key: str, value: AttributeValue) -> None: ...

    def fail(self, error: BaseException) -> None: ...

    def __enter__(self) -> "_Passing":
        self._token = otel_context.attach(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None


class _OpenSpan:
    """Be one span: it starts when the block is entered, and is the current one until the block is left."""

    __slots__ = (
        "_attributes",
        "_context",
        "_failure",
        "_kind",
        "_link",
        "_name",
        "_parent",
        "_span",
        "_token",
        "_tracer",
    )

    def __init__(
        self,
        tracer: OpenTelemetryTracer,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: Headers | None,
        link: Headers | None,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._parent = parent
        self._link = link
        self._span: trace.Span = trace.INVALID_SPAN
        self._context = trace.INVALID_SPAN_CONTEXT
        self._failure: BaseException | None = None
        self._token: Token[Context] | None = None

    @property
    def trace_id(self) -> str | None:
        span = self._span
        if type(span) is LightSpan:
            return span.trace_hex
        return f"{self._context.trace_id:032x}" if self._context.is_valid else None

    @property
    def span_id(self) -> str | None:
        span = self._span
        if type(span) is LightSpan:
            return span.span_hex
        return f"{self._context.span_id:016x}" if self._context.is_valid else None

    def set(self, key: str, value: AttributeValue) -> None:
        span = self._span
        if type(span) is LightSpan:
            span.note(key, value)
        elif span.is_recording():
            span.set_attribute(key, carried(value))

    def fail(self, error: BaseException) -> None:
        if error is self._failure or not self._span.is_recording():
            return
        self._failure = error
        kind, message = error_name(error), error_message(error)
        event = {EXCEPTION_TYPE: kind, EXCEPTION_MESSAGE: message, EXCEPTION_STACKTRACE: error_stacktrace(error)}
        self._span.add_event("exception", event)
        self._span.set_attribute(names.ERROR_TYPE, kind)
        self._span.set_status(StatusCode.ERROR, f"{kind}: {message}")

    def __enter__(self) -> "_OpenSpan":
        parent = self._parent
        base = otel_context.get_current() if parent is None else self._tracer.context_of(parent)
        span = self._span = self._tracer.begin(self._name, self._kind, base, self._attributes, self._link)
        if type(span) is LightSpan:
            current = Context({**base, SPAN_KEY: span})
        else:
            self._context = span.get_span_context()
            # A tracer that makes no spans leaves the sender's context current, to be passed on.
            current = trace.set_span_in_context(span, base) if self._context.is_valid else base
        self._token = otel_context.attach(current)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        if error is None:
            pass
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.set(names.CANCELLED, True)
        else:
            self.fail(error)
        self._failure = None  # else it, its traceback and a frame with this span hold each other
        self._span.end()
