"""Keep finished spans in memory, so that a trace can be looked at without a collector."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from cqrs.tracing.attributes import CORRELATION_ID


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Hold one event of a span.

    Attributes:
        name: Its name; `exception` for a recorded error.
        at_ns: Nanoseconds since the epoch.
        attributes: Its attributes.
    """

    name: str
    at_ns: int
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """Hold what is worth knowing of a span that has ended.

    Attributes:
        name: The span's name.
        kind: `internal`, `producer`, `consumer`, `server` or `client`.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_span_id: The parent's 16 hexadecimal digits, or None for a root.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch.
        attributes: Its attributes.
        status: `unset`, `ok` or `error`.
        status_description: What went wrong, or None.
        events: Its events, in order.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])
    status: str = "unset"
    status_description: str | None = None
    events: tuple[SpanEvent, ...] = ()

    @property
    def duration_ms(self) -> float:
        """Return how long the span was open, in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class SpanNode:
    """Hold a span with its children, in the order in which they started."""

    span: FinishedSpan
    children: "tuple[SpanNode, ...]" = ()


class SpanMemory(SpanProcessor):
    """Keep the spans of the latest traces.

    Args:
        max_traces: How many traces are kept; the one that began longest ago is forgotten first.
        max_spans_per_trace: How many spans of one trace are kept; later ones are counted and dropped.
    """

    def __init__(self, *, max_traces: int = 1_000, max_spans_per_trace: int = 1_000) -> None:
        self._max_traces = max_traces
        self._max_spans = max_spans_per_trace
        self._traces: OrderedDict[str, list[FinishedSpan]] = OrderedDict()
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def dropped(self) -> int:
        """Return how many spans did not fit into their trace."""
        return self._dropped

    def on_end(self, span: ReadableSpan) -> None:
        """Keep `span`, and forget the oldest trace when there are too many."""
        finished = _finished(span)
        with self._lock:
            spans = self._traces.setdefault(finished.trace_id, [])
            if len(spans) < self._max_spans:
                spans.append(finished)
            else:
                self._dropped += 1
            while len(self._traces) > self._max_traces:
                self._traces.popitem(last=False)

    def trace_ids(self) -> tuple[str, ...]:
        """Return the ids of the traces that are kept, the oldest first."""
        with self._lock:
            return tuple(self._traces)

    def trace(self, trace_id: str) -> tuple[FinishedSpan, ...]:
        """Return the kept spans of one trace in the order in which they ended; nothing for an unknown one."""
        with self._lock:
            return tuple(self._traces.get(trace_id, ()))

    def by_correlation_id(self, correlation_id: str) -> tuple[FinishedSpan, ...]:
        """Return every kept span that carries `correlation_id`, trace by trace."""
        with self._lock:
            spans = [span for trace in self._traces.values() for span in trace]
        return tuple(span for span in spans if span.attributes.get(CORRELATION_ID) == correlation_id)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._traces.clear()
            self._dropped = 0


def span_tree(spans: Iterable[FinishedSpan]) -> tuple[SpanNode, ...]:
    """Return `spans` as trees: the roots, and under each span its children, in the order in which they started.

    A span whose parent is not among them is a root, so that a trace that began elsewhere can be drawn.
    """
    ordered = sorted(spans, key=lambda span: (span.start_ns, span.end_ns, span.span_id))
    known = {_place(span) for span in ordered}
    roots: list[FinishedSpan] = []
    children: dict[tuple[str, str], list[FinishedSpan]] = {}
    for span in ordered:
        parent = (span.trace_id, span.parent_span_id or "")
        (children.setdefault(parent, []) if parent in known else roots).append(span)
    return _grown(roots, children)


def _grown(
    roots: Sequence[FinishedSpan], children: Mapping[tuple[str, str], Sequence[FinishedSpan]]
) -> tuple[SpanNode, ...]:
    """Build the nodes from the leaves up, in a loop: a trace may be deeper than Python's stack."""
    downwards: list[FinishedSpan] = []
    pending = list(roots)
    while pending:
        downwards.append(pending.pop())
        pending.extend(children.get(_place(downwards[-1]), ()))
    nodes: dict[tuple[str, str], SpanNode] = {}
    for span in reversed(downwards):
        place = _place(span)
        nodes[place] = SpanNode(span, tuple(nodes[_place(child)] for child in children.get(place, ())))
    return tuple(nodes[_place(root)] for root in roots)


def _place(span: FinishedSpan) -> tuple[str, str]:
    return span.trace_id, span.span_id


def _finished(span: ReadableSpan) -> FinishedSpan:
    # The SDK gives an ending span its context and both times; its types allow for spans that have not begun.
    context = span.get_span_context()
    return FinishedSpan(
        name=span.name,
        kind=span.kind.name.lower(),
        trace_id=f"{context.trace_id:032x}" if context else "",
        span_id=f"{context.span_id:016x}" if context else "",
        parent_span_id=f"{span.parent.span_id:016x}" if span.parent else None,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=dict(span.attributes or {}),
        status={StatusCode.ERROR: "error", StatusCode.OK: "ok"}.get(span.status.status_code, "unset"),
        status_description=span.status.description,
        events=tuple(_event(event) for event in span.events),
    )


def _event(event: Event) -> SpanEvent:
    return SpanEvent(event.name, event.timestamp, dict(event.attributes or {}))
