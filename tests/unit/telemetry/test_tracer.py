import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue as OtelValue

from cqrs.telemetry.tracer import OpenTelemetryTracer
from cqrs.tracing.attributes import CANCELLED, ERROR_TYPE
from cqrs.tracing.tracer import Headers, SpanKind, Tracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED: Headers = (("traceparent", f"00-{TRACE}-{SPAN}-01".encode()),)
UNSAMPLED: Headers = (("traceparent", f"00-{TRACE}-{SPAN}-00".encode()),)


class Recorded:
    """A tracer of ours on a provider of its own, with what it exports."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.ignored: list[tuple[str, str]] = []
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = OpenTelemetryTracer(
            provider.get_tracer("test"), ignored_header=lambda header, reason: self.ignored.append((header, reason))
        )

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def attributes(self) -> dict[str, OtelValue]:
        return dict(self.span.attributes or {})


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def current_id() -> str:
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_id(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_it_is_the_tracer_port(recorded: Recorded) -> None:
    port: Tracer = recorded.tracer
    assert port.inject() == ()


def test_a_span_is_current_inside_its_block_and_ends_with_it(recorded: Recorded) -> None:
    before = current_id()
    with recorded.tracer.span("work", kind=SpanKind.CONSUMER, attributes={"a": 1, "b": ["x"]}) as span:
        assert current_id() == span.span_id
        assert not recorded.spans
        span.set("c", True)
    assert current_id() == before
    assert (span.trace_id, span.span_id) == ids(recorded.span)
    assert recorded.span.name == "work"
    assert recorded.span.kind is trace.SpanKind.CONSUMER
    assert recorded.attributes == {"a": 1, "b": ("x",), "c": True}
    assert recorded.span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("kind", list(SpanKind))
def test_every_kind_has_its_opentelemetry_kind(recorded: Recorded, kind: SpanKind) -> None:
    with recorded.tracer.span("work", kind=kind):
        pass
    assert recorded.span.kind.name == kind.name


def test_ids_are_hexadecimal_and_of_full_length(recorded: Recorded) -> None:
    with recorded.tracer.span("work") as span:
        assert len(span.trace_id or "") == 32
        assert len(span.span_id or "") == 16


def test_the_current_span_is_the_parent(recorded: Recorded) -> None:
    with recorded.tracer.span("outer") as outer, recorded.tracer.span("inner") as inner:
        assert inner.trace_id == outer.trace_id
    assert [parent_id(span) for span in recorded.spans] == [outer.span_id, None]


def test_headers_name_the_parent(recorded: Recorded) -> None:
    with recorded.tracer.span("unrelated"), recorded.tracer.span("process", parent=SAMPLED) as span:
        assert span.trace_id == TRACE
    assert parent_id(recorded.spans[0]) == SPAN
    assert recorded.ignored == []


@pytest.mark.parametrize("value", [b"\xff", b"junk", None])
def test_bad_headers_begin_a_new_trace(recorded: Recorded, value: bytes | None) -> None:
    with (
        recorded.tracer.span("unrelated") as outer,
        recorded.tracer.span("process", parent=(("traceparent", value),)) as span,
    ):
        assert span.trace_id not in {None, outer.trace_id}
    assert parent_id(recorded.spans[0]) is None
    assert [header for header, _ in recorded.ignored] == ["traceparent"]


def test_headers_without_trace_context_begin_a_new_trace_in_silence(recorded: Recorded) -> None:
    with recorded.tracer.span("unrelated"), recorded.tracer.span("process", parent=(("ce_id", b"1"),)):
        pass
    assert parent_id(recorded.spans[0]) is None
    assert recorded.ignored == []


def test_inject_writes_the_current_span_once(recorded: Recorded) -> None:
    with recorded.tracer.span("send", parent=(*SAMPLED, ("tracestate", b"a=1"), ("baggage", b"k=v"))) as span:
        headers = recorded.tracer.inject()
    assert headers == (
        ("traceparent", f"00-{TRACE}-{span.span_id}-01".encode()),
        ("tracestate", b"a=1"),
        ("baggage", b"k=v"),
    )


def test_an_error_is_recorded_and_goes_on(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="no such order"), recorded.tracer.span("work"):
        raise ValueError("no such order")
    assert recorded.span.status.status_code is StatusCode.ERROR
    assert recorded.span.status.description == "ValueError: no such order"
    assert recorded.attributes == {ERROR_TYPE: "ValueError"}
    (event,) = recorded.span.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.type"] == "ValueError"
    assert (event.attributes or {})["exception.message"] == "no such order"
    assert "test_an_error_is_recorded_and_goes_on" in str((event.attributes or {})["exception.stacktrace"])


def test_an_error_told_and_then_raised_is_recorded_once(recorded: Recorded) -> None:
    def work() -> None:
        with recorded.tracer.span("work") as span:
            error = ValueError("once")
            span.fail(error)
            raise error

    with pytest.raises(ValueError, match="once"):
        work()
    assert len(recorded.span.events) == 1


def test_a_failure_does_not_end_the_span(recorded: Recorded) -> None:
    with recorded.tracer.span("work") as span:
        span.fail(ValueError("refused"))
        span.set("after", 1)
    assert recorded.span.status.status_code is StatusCode.ERROR
    assert recorded.attributes["after"] == 1


def test_an_error_that_cannot_be_printed_hides_nothing(recorded: Recorded) -> None:
    with pytest.raises(Unprintable), recorded.tracer.span("work"):
        raise Unprintable
    assert "cannot be printed" in str(recorded.span.status.description)


def test_text_that_utf8_cannot_hold_is_replaced(recorded: Recorded) -> None:
    with recorded.tracer.span("na\ud800me", attributes={"a": "\ud800", "b": ["\udfff"], "c": "é"}) as span:
        span.set("d", "\ud800")
        span.fail(ValueError("\ud800"))
    assert recorded.span.name == "na?me"
    assert recorded.span.status.description == "ValueError: ?"
    assert recorded.attributes == {"a": "?", "b": ("?",), "c": "é", "d": "?", ERROR_TYPE: "ValueError"}


@pytest.mark.asyncio
async def test_cancellation_is_no_error_and_is_not_swallowed(recorded: Recorded) -> None:
    opened = asyncio.Event()

    async def work() -> None:
        with recorded.tracer.span("work"):
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorded.span.status.status_code is StatusCode.UNSET
    assert recorded.attributes == {CANCELLED: True}
    assert recorded.span.events == ()
    assert current_id() == "0" * 16


@pytest.mark.asyncio
async def test_concurrent_tasks_have_spans_of_their_own(recorded: Recorded) -> None:
    both_open = asyncio.Barrier(2)

    async def work() -> tuple[str | None, str, str | None]:
        with recorded.tracer.span("task") as span:
            await both_open.wait()
            seen = current_id()
            with recorded.tracer.span("inside") as inner:
                await both_open.wait()
            return span.span_id, seen, inner.trace_id

    with recorded.tracer.span("outer") as outer:
        results = await asyncio.gather(work(), work())
    assert all(span_id == seen for span_id, seen, _ in results)
    assert {trace_id for _, _, trace_id in results} == {outer.trace_id}
    tasks = [span for span in recorded.spans if span.name == "task"]
    assert {parent_id(span) for span in tasks} == {outer.span_id}
    assert {parent_id(span) for span in recorded.spans if span.name == "inside"} == {ids(span)[1] for span in tasks}


def test_a_parent_that_is_not_sampled_is_respected(recorded: Recorded) -> None:
    with recorded.tracer.span("process", parent=UNSAMPLED, attributes={"a": 1}) as span:
        span.set("b", 2)
        span.fail(ValueError())
        assert span.trace_id == TRACE
        assert dict(recorded.tracer.inject())["traceparent"] == f"00-{TRACE}-{span.span_id}-00".encode()
    assert not recorded.spans


def test_a_root_that_is_not_sampled_still_carries_ids() -> None:
    unsampled = Recorded(ParentBased(ALWAYS_OFF))
    with unsampled.tracer.span("send") as span:
        assert span.trace_id is not None
        written = (dict(unsampled.tracer.inject())["traceparent"] or b"").decode()
    assert written[:-2] == f"00-{span.trace_id}-{span.span_id}-"
    assert not int(written[-2:], 16) & trace.TraceFlags.SAMPLED
    assert not unsampled.spans


def test_a_tracer_that_makes_no_spans_has_no_ids() -> None:
    tracer = OpenTelemetryTracer(trace.NoOpTracer())
    with tracer.span("work", parent=()) as span:
        span.set("a", 1)
        assert (span.trace_id, span.span_id) == (None, None)
        assert tracer.inject() == ()


def test_a_users_own_span_joins_the_trace(recorded: Recorded) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with recorded.tracer.span("work") as span:
        own = provider.get_tracer("theirs").start_span("own")
        assert own.get_span_context().trace_id == int(span.trace_id or "", 16)
        own.end()


def test_a_link_names_another_trace_and_does_not_continue_it(recorded: Recorded) -> None:
    with recorded.tracer.span("process t", parent=(), link=SAMPLED):
        pass

    (link,) = recorded.span.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (TRACE, SPAN)
    assert recorded.span.parent is None
    assert ids(recorded.span)[0] != TRACE


@pytest.mark.parametrize("header", [None, b"", b"00-abc", b"\xff"])
def test_a_link_that_cannot_be_read_is_none(recorded: Recorded, header: bytes | None) -> None:
    with recorded.tracer.span("process t", link=(("traceparent", header),)):
        pass

    assert recorded.span.links == ()
    assert [name for name, _ in recorded.ignored] == ["traceparent"]
