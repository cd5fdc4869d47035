from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from cqrs.telemetry.span_memory import FinishedSpan, SpanMemory, SpanNode, span_tree


def span(span_id: str, parent: str | None = None, start: int = 0, trace: str = "t") -> FinishedSpan:
    return FinishedSpan(span_id, "internal", trace, span_id, parent, start, start + 10)


def names(nodes: Sequence[SpanNode]) -> list[object]:
    return [(node.span.name, names(node.children)) if node.children else node.span.name for node in nodes]


def provider_with(memory: SpanMemory) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(memory)
    return provider


def test_a_finished_span_is_kept_whole() -> None:
    memory = SpanMemory()
    tracer = provider_with(memory).get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        inner = tracer.start_span("inner", kind=SpanKind.PRODUCER, attributes={"a": 1}, start_time=2_000_000)
        inner.add_event("sent", {"b": "c"}, timestamp=3_000_000)
        inner.set_status(StatusCode.ERROR, "refused")
        inner.end(end_time=4_500_000)
    (kept, parent) = memory.trace(f"{outer.get_span_context().trace_id:032x}")
    assert (kept.name, kept.kind, kept.attributes, kept.status) == ("inner", "producer", {"a": 1}, "error")
    assert kept.status_description == "refused"
    assert kept.duration_ms == 2.5
    assert [(event.name, event.at_ns, event.attributes) for event in kept.events] == [("sent", 3_000_000, {"b": "c"})]
    assert kept.span_id == f"{inner.get_span_context().span_id:016x}"
    assert kept.parent_span_id == parent.span_id
    assert (parent.parent_span_id, parent.status, parent.events) == (None, "unset", ())


def test_a_span_that_says_ok_is_ok() -> None:
    memory = SpanMemory()
    own = provider_with(memory).get_tracer("test").start_span("own")
    own.set_status(StatusCode.OK)
    own.end()
    assert memory.trace(memory.trace_ids()[0])[0].status == "ok"


def test_the_oldest_trace_is_forgotten_first() -> None:
    memory = SpanMemory(max_traces=2)
    tracer = provider_with(memory).get_tracer("test")
    for name in ("first", "second", "third"):
        tracer.start_span(name).end()
    assert [memory.trace(trace_id)[0].name for trace_id in memory.trace_ids()] == ["second", "third"]


def test_a_long_trace_is_cut_and_counted() -> None:
    memory = SpanMemory(max_spans_per_trace=2)
    tracer = provider_with(memory).get_tracer("test")
    with tracer.start_as_current_span("outer"):
        for name in ("a", "b", "c"):
            tracer.start_span(name).end()
    assert [kept.name for kept in memory.trace(memory.trace_ids()[0])] == ["a", "b"]
    assert memory.dropped == 2


def test_spans_are_found_by_correlation_id() -> None:
    memory = SpanMemory()
    tracer = provider_with(memory).get_tracer("test")
    for name, correlation_id in (("a", "c-1"), ("b", "c-2"), ("c", "c-1")):
        tracer.start_span(name, attributes={"correlation_id": correlation_id}).end()
    assert [kept.name for kept in memory.by_correlation_id("c-1")] == ["a", "c"]
    assert memory.by_correlation_id("c-3") == ()


def test_everything_can_be_forgotten() -> None:
    memory = SpanMemory(max_spans_per_trace=0)
    provider_with(memory).get_tracer("test").start_span("a").end()
    assert memory.dropped == 1
    memory.clear()
    assert (memory.trace_ids(), memory.dropped) == ((), 0)


def test_an_unknown_trace_has_no_spans() -> None:
    assert SpanMemory().trace("0" * 32) == ()


def test_children_stand_under_their_parent_in_the_order_they_started() -> None:
    spans = [span("b", "a", 3), span("c", "a", 2), span("d", "b", 4), span("a", None, 1)]
    assert names(span_tree(spans)) == [("a", ["c", ("b", ["d"])])]


def test_a_span_whose_parent_is_elsewhere_is_a_root() -> None:
    assert names(span_tree([span("b", "remote", 2), span("a", None, 1)])) == ["a", "b"]


def test_ids_count_within_their_trace() -> None:
    assert names(span_tree([span("a"), span("b", "a", 1, trace="u")])) == ["a", "b"]


def test_no_spans_make_no_tree() -> None:
    assert span_tree([]) == ()


def test_a_tree_may_be_deeper_than_the_stack() -> None:
    chain = [span(str(n), str(n - 1) if n else None, n) for n in range(20_000)]
    (node,) = span_tree(chain)
    depth = 1
    while node.children:
        (node,) = node.children
        depth += 1
    assert depth == 20_000


@given(data=st.data())
def test_every_span_of_a_trace_is_drawn_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 12))
    parents = [data.draw(st.none() | st.integers(-1, n - 1)) if n else None for n in range(count)]
    starts = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    spans = [
        span(str(n), None if parent is None else str(parent), start)
        for n, (parent, start) in enumerate(zip(parents, starts, strict=True))
    ]
    drawn: list[FinishedSpan] = []
    pending = list(span_tree(data.draw(st.permutations(spans))))
    while pending:
        node = pending.pop()
        drawn.append(node.span)
        assert [child.span.start_ns for child in node.children] == sorted(c.span.start_ns for c in node.children)
        assert all(child.span.parent_span_id == node.span.span_id for child in node.children)
        pending.extend(node.children)
    assert sorted(each.span_id for each in drawn) == sorted(each.span_id for each in spans)
