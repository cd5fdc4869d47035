"""A tracer that remembers, for tests of what opens spans."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from cqrs.tracing.tracer import Attributes, AttributeValue, Headers, SpanKind


@dataclass
class RecordedSpan:
    """Hold one span as it was opened, filled and ended.

    Attributes:
        name: Its name.
        kind: Its role.
        attributes: Everything set on it.
        parent: The span it was opened in, or None.
        parent_headers: The record headers it was given as its parent, or None.
        link: The headers of the trace it links to, or None.
        errors: What failed it, first to last.
        ended: Whether its block was left.
    """

    name: str
    kind: SpanKind
    attributes: dict[str, AttributeValue]
    parent: "RecordedSpan | None"
    parent_headers: Headers | None
    trace_id: str
    span_id: str
    link: Headers | None = None
    errors: list[BaseException] = field(default_factory=list)
    ended: bool = False

    def set(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        self.attributes[key] = value

    def fail(self, error: BaseException) -> None:
        """Remember `error`."""
        self.errors.append(error)


class RecordingTracer:
    """Implement the `Tracer` port and keep every span in `spans`, in the order they were opened."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self._current: ContextVar[RecordedSpan | None] = ContextVar("recorded_span", default=None)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        parent: Headers | None = None,
        link: Headers | None = None,
    ) -> Iterator[RecordedSpan]:
        """Open a span; see `Tracer.span`."""
        outer = self._current.get()
        number = len(self.spans) + 1
        trace_id = outer.trace_id if outer is not None else f"{number:032x}"
        known = dict((attributes() if callable(attributes) else attributes) or {})
        opened = RecordedSpan(name, kind, known, outer, parent, trace_id, f"{number:016x}", link)
        self.spans.append(opened)
        token = self._current.set(opened)
        try:
            yield opened
        except Exception as error:
            opened.fail(error)
            raise
        finally:
            self._current.reset(token)
            opened.ended = True

    def inject(self) -> Headers:
        """Return the `traceparent` of the current span, or nothing outside of one."""
        current = self._current.get()
        if current is None:
            return ()
        return (("traceparent", f"00-{current.trace_id}-{current.span_id}-01".encode()),)
