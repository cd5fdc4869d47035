"""What users see of a light span is what the SDK's own span shows: the same story is told to both, and compared."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes as OtelAttributes

from cqrs.telemetry.light_span import LightSpan
from cqrs.telemetry.light_spans import LIMITS, LightSpans
from cqrs.telemetry.span_pipeline import PresetIds, SpanPipeline, SpanSource
from cqrs.telemetry.tracing import Tracing, configure_tracing
from cqrs.tracing.attributes import CORRELATION_ID
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Headers, SpanKind, Tracer

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def sent(flags: str, *more: tuple[str, bytes]) -> Headers:
    return (("traceparent", f"00-{TRACE}-{SENDER}-{flags}".encode()), *more)


class Kept(SpanExporter):
    """Keep what it is given, as any exporter may."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


class Seeing(SpanProcessor):
    """Be a user's processor; one that stands by keeps every span the SDK's."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class Traced:
    """A service's tracing as it is configured, light or with the SDK's spans alone, and what it exports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, light: bool) -> None:
        self.exporter = Kept()
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", lambda: self.exporter)
        self.tracing: Tracing = configure_tracing("orders", "1.2", processors=() if light else (Seeing(),))
        self.tracer: Tracer = self.tracing.tracer

    @property
    def exported(self) -> list[ReadableSpan]:
        self.tracing.provider.force_flush()
        return self.exporter.spans

    @property
    def foreign(self) -> trace.Tracer:
        """The tracer of a user's own library."""
        return self.tracing.provider.get_tracer("theirs", "3")


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Traced, Traced]]:
    light, whole = Traced(monkeypatch, light=True), Traced(monkeypatch, light=False)
    yield light, whole
    for each in (light, whole):
        each.tracing.shutdown(5)


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


# -- where a difference could be seen, the SDK makes every span ------------------------------------------------------


def test_a_users_processor_gets_the_sdks_spans_and_may_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Marking(Seeing):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            super().on_start(span, parent_context)
            span.set_attribute("marked", True)
            span.update_name(f"my {span.name}")

    marking = Marking()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracing = configure_tracing("orders", "1", processors=(marking,))
    with CorrelationContext.scope(correlation_id="c-1"), tracing.tracer.span("work", attributes={"a": 1}):
        pass
    assert [type(span) for span in marking.started] == [type(tracing.provider.get_tracer("x").start_span("y"))]
    (ended,) = marking.ended
    assert ended.name == "my work"
    assert dict(ended.attributes or {}) == {"a": 1, CORRELATION_ID: "c-1", "marked": True}


def test_a_processor_that_comes_later_sees_what_is_open_when_it_ends_and_all_that_begins(
    both: tuple[Traced, Traced],
) -> None:
    light, _ = both
    late = Seeing()
    with light.tracer.span("open", attributes={"a": 1}):
        light.tracing.provider.add_span_processor(late)
        with light.tracer.span("new"):
            assert not isinstance(trace.get_current_span(), LightSpan)
    assert [span.name for span in late.ended] == ["new", "open"]
    assert dict(late.ended[1].attributes or {}) == {"a": 1}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_the_environment_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "true" if "METRICS" in name else "2")
    traced = Traced(monkeypatch, light=True)
    with traced.tracer.span("work", attributes={"a": "long", "b": "longer", "c": "longest"}):
        assert not isinstance(trace.get_current_span(), LightSpan)
    (span,) = traced.exported
    if "COUNT" in name:
        assert (len(span.attributes or {}), span.dropped_attributes) == (2, 1)
    elif "LENGTH" in name:
        assert dict(span.attributes or {}) == {"a": "lo", "b": "lo", "c": "lo"}
    traced.tracing.shutdown(5)


@pytest.mark.parametrize("name", ["OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"])
def test_limits_of_events_and_links_are_kept_by_promoted_spans(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    traced = Traced(monkeypatch, light=True)
    with traced.tracer.span("work"):
        for number in (1, 2):
            trace.get_current_span().add_event(f"event {number}")
            trace.get_current_span().add_link(SpanContext(1, number, True))
    (span,) = traced.exported
    events = "EVENT" in name
    assert (len(span.events), span.dropped_events) == ((1, 1) if events else (2, 0))
    assert (len(span.links), span.dropped_links) == ((2, 0) if events else (1, 1))
    traced.tracing.shutdown(5)


@pytest.mark.parametrize(
    ("sampler", "argument", "parent", "sampled"),
    [
        ("always_on", "", sent("00"), True),
        ("always_on", "", (), True),
        ("always_off", "", sent("01"), False),
        ("parentbased_always_on", "", sent("00"), False),
        ("parentbased_always_off", "", (), False),
        ("parentbased_always_off", "", sent("01"), True),
        ("parentbased_traceidratio", "0", (), False),
        ("parentbased_traceidratio", "1", (), True),
        ("parentbased_traceidratio", "0", sent("01"), True),
        ("traceidratio", "0", sent("01"), False),
        ("traceidratio", "1", sent("00"), True),
    ],
)
def test_every_sampler_of_the_environment_decides_as_it_does_for_the_sdk(
    sampler: str, argument: str, parent: Headers, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    flags = []
    for light in (True, False):
        traced = Traced(monkeypatch, light=light)
        with traced.tracer.span("work", parent=parent), traced.tracer.span("inner"):
            flags.append(trace.get_current_span().get_span_context().trace_flags & TraceFlags.SAMPLED)
        assert len(traced.exported) == (2 if sampled else 0)
        traced.tracing.shutdown(5)
    assert flags == [int(sampled), int(sampled)]


class ByName(Sampler):
    """Be a user's sampler, which looks at more than the parent."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: OtelAttributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        wanted = name == "wanted" and dict(attributes or {}) == {"a": 1}
        return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP, {"sampled.by": "name"})

    def get_description(self) -> str:
        return "AlwaysOnSampler"  # whatever it says of itself, it is not the SDK's


@pytest.mark.parametrize("sampler", [ByName(), ParentBased(ByName())], ids=["itself", "for roots"])
def test_a_users_sampler_is_asked_by_the_sdk_with_all_it_knows(sampler: Sampler, both: tuple[Traced, Traced]) -> None:
    light, _ = both
    provider = light.tracing.provider
    provider.sampler = sampler
    tracer = provider.get_tracer("sampled")
    tracer.sampler = sampler  # type: ignore[attr-defined]
    assert not LightSpans(SpanSource(tracer, SpanPipeline(), PresetIds())).fit  # type: ignore[arg-type]
    tracer.sampler = ALWAYS_ON  # type: ignore[attr-defined]
    assert LightSpans(SpanSource(tracer, SpanPipeline(), PresetIds())).fit  # type: ignore[arg-type]


def test_a_context_of_its_own_is_the_parent_of_nothing(both: tuple[Traced, Traced]) -> None:
    light, _ = both
    with light.tracer.span("outer"):
        token = attach(Context())
        with light.tracer.span("apart"):
            pass
        detach(token)
    assert [span.parent for span in light.exported] == [None, None]
