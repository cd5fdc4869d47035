"""What users see of a light span is what the SDK's own span shows: the same story is told to both, and compared."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes as OtelAttributes

from cqrs.telemetry.light_span import LightSpan
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import AttributeValue, SpanKind
from tests.unit.telemetry.traced import SENDER, TRACE, Seeing, Traced, sent


def told(span: ReadableSpan, known: Mapping[int, str]) -> dict[str, object]:
    """Return all that an exporter can read of a span; ids by name, times by their order alone."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    assert span.context == context
    assert (span.start_time or 0) <= (span.end_time or 0)
    return {
        "name": span.name,
        "kind": span.kind,
        "trace": f"{context.trace_id:032x}" == TRACE,
        "context": (context.is_remote, context.trace_flags, context.trace_state, context.is_valid),
        "parent": parent
        and (known.get(parent.span_id, f"{parent.span_id:016x}"), parent.is_remote, parent.trace_flags),
        "attributes": dict(span.attributes or {}),
        "status": (span.status.status_code, span.status.description),
        "events": [(event.name, _without_stack(event.attributes)) for event in span.events],
        "links": [(link.context, dict(link.attributes or {})) for link in span.links],
        "resource": span.resource,
        "scope": span.instrumentation_scope,
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "ended": span.end_time is not None,
    }


def _without_stack(attributes: OtelAttributes) -> dict[str, object]:
    return {name: value for name, value in (attributes or {}).items() if name != "exception.stacktrace"}


def story(spans: Sequence[ReadableSpan]) -> list[dict[str, object]]:
    known = {span.context.span_id: span.name for span in spans if span.context}
    return sorted((told(span, known) for span in spans), key=lambda each: str(each["name"]))


# -- the same story, told to both ------------------------------------------------------------------------------------

Story = Callable[[Traced], None]
STORIES: dict[str, Story] = {}


def a_story(tell: Story) -> Story:
    STORIES[tell.__name__] = tell
    return tell


@a_story
def plain_spans_within_each_other(traced: Traced) -> None:
    with (
        CorrelationContext.scope(correlation_id="c-1"),
        traced.tracer.span("process", kind=SpanKind.CONSUMER, attributes=lambda: {"a": 1}, parent=sent("01")) as outer,
        traced.tracer.span("send", kind=SpanKind.PRODUCER, attributes={"b": True, "c": 1.5, "d": ["x", "y"]}) as inner,
    ):
        inner.set("late", "é")
        outer.set("outcome", "handled")


@a_story
def a_root_without_anything(traced: Traced) -> None:
    with traced.tracer.span("root"):
        pass


@a_story
def a_trace_state_is_handed_down(traced: Traced) -> None:
    with traced.tracer.span("process", parent=sent("01", ("tracestate", b"vendor=1"))), traced.tracer.span("inner"):
        pass


@a_story
def a_random_trace_id_is_told_in_the_flags(traced: Traced) -> None:
    with traced.tracer.span("process", parent=sent("03")), traced.tracer.span("inner"):
        pass


@a_story
def an_unsampled_sender_is_respected(traced: Traced) -> None:
    with traced.tracer.span("process", parent=sent("00"), attributes=lambda: {"asked": True}) as span:
        span.set("a", 1)
        assert span.trace_id == TRACE
        assert not trace.get_current_span().is_recording()


@a_story
def text_that_utf8_cannot_hold(traced: Traced) -> None:
    with traced.tracer.span("na\ud800me", attributes={"a": "\ud800", "b": ("\udfff", "ok")}) as span:
        span.set("c", "\ud800")


@a_story
def an_error_that_leaves_the_block(traced: Traced) -> None:
    with pytest.raises(ValueError, match="no"), traced.tracer.span("work", attributes={"a": 1}):
        raise ValueError("no")


@a_story
def an_error_told_and_attributes_after_it(traced: Traced) -> None:
    with traced.tracer.span("work") as span:
        span.set("before", 1)
        span.fail(ValueError("no"))
        span.set("after", 2)


@a_story
def a_users_attributes_of_every_kind(traced: Traced) -> None:
    with traced.tracer.span("work", attributes={"a": 1}):
        current = trace.get_current_span()
        current.set_attribute("a", 2)
        current.set_attributes({"list": [1, 2], "none": None, "mixed": [1, "x"], "": "nameless"})
        assert current.is_recording()


@a_story
def a_users_events_links_and_name(traced: Traced) -> None:
    with traced.tracer.span("work"):
        current = trace.get_current_span()
        current.add_event("seen", {"n": 1}, timestamp=5)
        current.add_link(SpanContext(1, 2, True, TraceFlags(1)), {"why": "before"})
        current.update_name("renamed")
        current.record_exception(KeyError("k"), {"own": 1}, escaped=True)


@a_story
def a_status_of_ok_is_not_taken_back(traced: Traced) -> None:
    with traced.tracer.span("work"):
        current = trace.get_current_span()
        current.set_status(Status(StatusCode.OK))
        current.set_status(Status(StatusCode.ERROR, "late"))
        current.set_status(StatusCode.UNSET)


@a_story
def a_status_of_error_with_a_description(traced: Traced) -> None:
    with traced.tracer.span("work"):
        trace.get_current_span().set_status(StatusCode.ERROR, "why")


@a_story
def what_comes_after_the_end_changes_nothing(traced: Traced) -> None:
    with traced.tracer.span("work") as span:
        current = trace.get_current_span()
    span.set("late", 1)
    current.set_attribute("later", 1)
    current.add_event("late")
    current.set_status(StatusCode.ERROR)
    current.update_name("late")
    current.end()
    assert not current.is_recording()


@a_story
def a_users_spans_below_and_between_ours(traced: Traced) -> None:
    with (
        traced.tracer.span("ours", parent=sent("01")),
        traced.foreign.start_as_current_span("theirs", attributes={"x": 1}),
        traced.tracer.span("ours again"),
    ):
        pass


@a_story
def a_span_that_is_read_while_it_is_open(traced: Traced) -> None:
    with traced.tracer.span("work", kind=SpanKind.CONSUMER, attributes={"a": 1}):
        current = trace.get_current_span()
        assert isinstance(current, ReadableSpan)
        assert (current.name, dict(current.attributes or {}), current.kind) == (
            "work",
            {"a": 1},
            trace.SpanKind.CONSUMER,
        )
        assert current.end_time is None
        assert current.status.status_code is StatusCode.UNSET
        assert (list(current.events), list(current.links)) == ([], [])


@a_story
def more_attributes_than_the_sdk_keeps(traced: Traced) -> None:
    with traced.tracer.span("work", attributes={f"a{number}": number for number in range(150)}):
        pass


@a_story
def the_correlation_id_is_the_one_at_the_start(traced: Traced) -> None:
    with CorrelationContext.scope(correlation_id="first"), traced.tracer.span("outer"):
        outer = trace.get_current_span()
        with CorrelationContext.scope(correlation_id="second"), traced.tracer.span("inner"):
            outer.set_attribute("late", 1)
        assert CorrelationContext.get_correlation_id() == "first"


@a_story
def a_link_of_a_redriven_record(traced: Traced) -> None:
    with traced.tracer.span("process", parent=(), link=sent("01")):
        pass


@a_story
def baggage_stays_beside_the_span(traced: Traced) -> None:
    with traced.tracer.span("process", parent=sent("01", ("baggage", b"k=v"))), traced.tracer.span("inner"):
        assert baggage.get_baggage("k") == "v"


@pytest.mark.parametrize("tell", STORIES.values(), ids=STORIES)
def test_both_tell_the_same(both: tuple[Traced, Traced], tell: Story) -> None:
    light, whole = both
    for each in both:
        tell(each)
    assert story(light.exported) == story(whole.exported)


@pytest.mark.parametrize("tell", STORIES.values(), ids=STORIES)
def test_both_are_written_the_same_on_the_wire(both: tuple[Traced, Traced], tell: Story) -> None:
    counts = []
    for each in both:
        tell(each)
        written = encode_spans(each.exported) if each.exported else None
        resources = written.resource_spans if written else []
        counts.append(
            [
                (scope.scope.name, len(span.attributes), len(span.events), span.flags, span.dropped_attributes_count)
                for resource in resources
                for scope in resource.scope_spans
                for span in sorted(scope.spans, key=lambda span: span.name)
            ]
        )
    assert counts[0] == counts[1]


def test_the_stories_are_about_light_spans(both: tuple[Traced, Traced]) -> None:
    light, whole = both
    for each in both:
        plain_spans_within_each_other(each)
    assert [type(span) for span in light.exported] == [LightSpan, LightSpan]
    assert LightSpan not in [type(span) for span in whole.exported]


def test_it_is_written_as_json_as_the_sdk_does(both: tuple[Traced, Traced]) -> None:
    read = []
    for each in both:
        with each.tracer.span("work", parent=sent("01"), attributes={"a": 1, "b": ("x",)}):
            pass
        (span,) = each.exported
        read.append(json.loads(span.to_json()))
        read[-1].update(start_time="", end_time="")
        read[-1]["context"]["span_id"] = ""
    assert read[0] == read[1]


# -- what is passed on -----------------------------------------------------------------------------------------------


def test_the_header_names_the_span_as_the_standard_propagator_does(both: tuple[Traced, Traced]) -> None:
    for traced in both:
        for parent in (sent("01"), sent("00"), sent("01", ("tracestate", b"a=1")), ()):
            with traced.tracer.span("send", parent=parent):
                carrier: dict[str, str] = {}
                TraceContextTextMapPropagator().inject(carrier)
                assert {name: (value or b"").decode() for name, value in traced.tracer.inject()} == carrier


def test_the_senders_span_can_be_read_before_anything_is_begun(both: tuple[Traced, Traced]) -> None:
    light, _ = both
    with light.tracer.span("process", parent=sent("01")):
        parent = trace.get_current_span().parent  # type: ignore[attr-defined]
    assert parent == SpanContext(int(TRACE, 16), int(SENDER, 16), True, TraceFlags(1))


def test_a_promoted_span_keeps_its_ids_and_its_start(both: tuple[Traced, Traced]) -> None:
    light, _ = both
    with light.tracer.span("work") as span:
        current = trace.get_current_span()
        before, started = current.get_span_context(), current.start_time  # type: ignore[attr-defined]
        current.add_event("now it is whole")
        assert trace.get_current_span().get_span_context() == before
        assert span.span_id == f"{before.span_id:016x}"
    (exported,) = light.exported
    assert type(exported) is not LightSpan
    assert (exported.context, exported.start_time) == (before, started)


def test_threads_that_ask_more_at_once_get_one_span(both: tuple[Traced, Traced]) -> None:
    light, _ = both
    start = threading.Barrier(8)

    def add(number: int) -> None:
        start.wait()
        current.add_event(f"event {number}")

    with light.tracer.span("work"):
        current = trace.get_current_span()
        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (span,) = light.exported
    assert len(span.events) == 8


def test_a_processor_that_comes_while_spans_are_open_may_read_their_parents(light: Traced) -> None:
    seen: list[dict[str, object]] = []

    class Reading(Seeing):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            seen.append(dict(getattr(trace.get_current_span(parent_context), "attributes", None) or {}))
            trace.get_current_span().set_attribute("seen", True)
            super().on_start(span, parent_context)

    reading = Reading()
    with light.tracer.span("outer", attributes={"a": 1}), light.tracer.span("inner"):
        light.tracing.provider.add_span_processor(reading)

    names = {f"{span.context.span_id:x}": span.name for span in reading.ended if span.context}
    assert [each for each in seen if each] == [{"a": 1}]
    assert sorted(names.values()) == ["inner", "outer"]
    assert [span.name for span in reading.ended if span.parent and f"{span.parent.span_id:x}" in names] == ["inner"]


def test_attributes_are_those_at_the_time_they_were_given(light: Traced) -> None:
    shared: dict[str, AttributeValue] = {"a": 1, "items": ["x"]}
    later = ["y"]
    with light.tracer.span("first", attributes=lambda: shared) as first:
        first.set("own", True)
        first.set("later", later)
        later.clear()
        shared["items"] = []
    with light.tracer.span("second", attributes=lambda: shared):
        pass

    spans = {span.name: dict(span.attributes or {}) for span in light.exported}
    assert spans == {
        "first": {"a": 1, "items": ("x",), "own": True, "later": ("y",)},
        "second": {"a": 1, "items": ()},
    }


def test_a_value_that_is_no_attribute_fails_where_it_is_given(light: Traced) -> None:
    with light.tracer.span("first") as first, pytest.raises(TypeError):
        first.set("nothing", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError), light.tracer.span("second", attributes={"nothing": None}):  # type: ignore[dict-item]
        pytest.fail("it cannot begin")
