"""The Tracer port on OpenTelemetry."""

import asyncio
from collections.abc import Mapping
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

from cqrs.telemetry.text import encodable, error_message, error_name, error_stacktrace
from cqrs.telemetry.trace_headers import IgnoredHeader, read_context, write_context
from cqrs.tracing import attributes as names
from cqrs.tracing.tracer import AttributeValue, Headers, Span, SpanKind

_KINDS = {
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
    SpanKind.PRODUCER: trace.SpanKind.PRODUCER,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
}


def count_nothing(_header: str, _reason: str) -> None:
    """Leave an ignored header uncounted."""


class OpenTelemetryTracer:
    """Open spans on an OpenTelemetry tracer, and carry their W3C context in record headers.

    Args:
        tracer: The OpenTelemetry tracer that makes the spans.
        ignored_header: Told of each W3C header that was not used, and why.
    """

    def __init__(self, tracer: trace.Tracer, *, ignored_header: IgnoredHeader = count_nothing) -> None:
        self._tracer = tracer
        self._ignored_header = ignored_header

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        parent: Headers | None = None,
        link: Headers | None = None,
    ) -> AbstractContextManager[Span]:
        """Open a span that is current inside the `with` block and ends with it.

        An exception that leaves the block is recorded as an event, gives the span the status ERROR, and goes on.
        Cancellation is neither success nor error: the span gets `cqrs.cancelled` and keeps the status UNSET.

        Args:
            name: The span's name.
            kind: Its role.
            attributes: Attributes known at the start, so that a sampler sees them.
            parent: Record headers whose W3C trace context is the parent; None takes the current span. Headers without
                a valid `traceparent` begin a new trace.
            link: Headers whose W3C trace context is told as a link; those without a valid `traceparent` link nothing.
        """
        return _OpenSpan(self._tracer, name, kind, attributes, parent, link, self._ignored_header)

    def inject(self) -> Headers:
        """Return the W3C headers (`traceparent`, `tracestate`, `baggage`) of the current span, each at most once."""
        return write_context()


class _OpenSpan:
    """Be one span: it starts when the block is entered, and is the current one until the block is left."""

    # fmt: off
    __slots__ = (
        "_attributes", "_context", "_failure", "_ignored", "_kind", "_link", "_name", "_parent", "_span", "_token",
        "_tracer",
    )
    # fmt: on

    def __init__(
        self,
        tracer: trace.Tracer,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue] | None,
        parent: Headers | None,
        link: Headers | None,
        ignored: IgnoredHeader,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._parent = parent
        self._link = link
        self._ignored = ignored
        self._span: trace.Span = trace.INVALID_SPAN
        self._context = trace.INVALID_SPAN_CONTEXT
        self._failure: BaseException | None = None
        self._token: Token[Context] | None = None

    @property
    def trace_id(self) -> str | None:
        return f"{self._context.trace_id:032x}" if self._context.is_valid else None

    @property
    def span_id(self) -> str | None:
        return f"{self._context.span_id:016x}" if self._context.is_valid else None

    def set(self, key: str, value: AttributeValue) -> None:
        if self._span.is_recording():
            self._span.set_attribute(key, _carried(value))

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
        base = otel_context.get_current() if self._parent is None else read_context(self._parent, self._ignored)
        self._span = self._tracer.start_span(
            encodable(self._name),
            context=base,
            kind=_KINDS[self._kind],
            attributes=_carried_all(self._attributes),
            links=self._links(),
        )
        self._context = self._span.get_span_context()
        # A tracer that makes no spans (OTEL_SDK_DISABLED) leaves the sender's context current, to be passed on.
        current = trace.set_span_in_context(self._span, base) if self._context.is_valid else base
        self._token = otel_context.attach(current)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.set(names.CANCELLED, True)
        elif error is not None:
            self.fail(error)
        self._span.end()

    def _links(self) -> list[trace.Link]:
        if self._link is None:
            return []
        linked = trace.get_current_span(read_context(self._link, self._ignored)).get_span_context()
        return [trace.Link(linked)] if linked.is_valid else []


def _carried(value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        return encodable(value)
    return value if isinstance(value, bool | int | float) else [encodable(item) for item in value]


def _carried_all(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue] | None:
    return {key: _carried(value) for key, value in attributes.items()} if attributes else None
