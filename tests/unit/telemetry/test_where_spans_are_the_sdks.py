"""Where somebody could tell a light span from the SDK's own, the SDK makes it: processors, samplers, limits."""

from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Span
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.util.types import Attributes as OtelAttributes

from cqrs.telemetry.light_span import LightSpan
from cqrs.telemetry.light_spans import LIMITS, LightSpans
from cqrs.telemetry.span_pipeline import PresetIds, SpanPipeline, SpanSource
from cqrs.telemetry.tracing import configure_tracing
from cqrs.tracing.attributes import CORRELATION_ID
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Headers
from tests.unit.telemetry.traced import Seeing, Traced, sent


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
