"""The port through which every room opens spans; `cqrs.telemetry` implements it with OpenTelemetry."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from types import TracebackType
from typing import Protocol

AttributeValue = str | bool | int | float | Sequence[str]
"""What a span attribute may hold."""

Attributes = Mapping[str, AttributeValue] | Callable[[], Mapping[str, AttributeValue]] | None
"""Attributes of a span, or what returns them: it is asked only when they are recorded."""

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka record headers, in order; names may repeat and values may be null."""


class SpanKind(Enum):
    """Name the role of a span, as OpenTelemetry does."""

    INTERNAL = "internal"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """Be one open piece of work in a trace."""

    @property
    def trace_id(self) -> str | None:
        """Return 32 hexadecimal digits, or None when nothing is traced."""

    @property
    def span_id(self) -> str | None:
        """Return 16 hexadecimal digits, or None when nothing is traced."""

    def set(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""

    def fail(self, error: BaseException) -> None:
        """Record `error` and give the span the status ERROR, without ending it."""


class Tracer(Protocol):
    """Open spans and carry their context over the wire."""

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

        An exception that leaves the block is recorded on the span and goes on.

        Args:
            name: The span's name.
            kind: Its role.
            attributes: Attributes known at the start, or what returns them.
            parent: Record headers whose W3C trace context is the parent; None takes the current span.
            link: Headers whose W3C trace context is told as a link: of a trace that led here and is not continued.
        """
        ...

    def inject(self) -> Headers:
        """Return the W3C headers (`traceparent`, `tracestate`, `baggage`) of the current span, each at most once."""
        ...


class _NoSpan:
    trace_id: str | None = None
    span_id: str | None = None

    def set(self, key: str, value: AttributeValue) -> None: ...

    def fail(self, error: BaseException) -> None: ...

    def __enter__(self) -> "_NoSpan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_NO_SPAN = _NoSpan()


class NoTracer:
    """Trace nothing, at the cost of one call."""

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        parent: Headers | None = None,
        link: Headers | None = None,
    ) -> AbstractContextManager[Span]:
        """Return a span that records nothing."""
        return _NO_SPAN

    def inject(self) -> Headers:
        """Return no headers."""
        return ()
