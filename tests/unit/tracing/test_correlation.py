import asyncio
import contextvars
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.tracing.correlation import (
    HEADER_CORRELATION_ID,
    HEADER_SPAN_ID,
    HEADER_TRACE_ID,
    CorrelationContext,
)

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@pytest.fixture(autouse=True)
def no_ids() -> Iterator[None]:
    CorrelationContext.clear()
    yield
    CorrelationContext.clear()


def ids() -> tuple[str | None, str | None, str | None]:
    return (
        CorrelationContext.get_correlation_id(),
        CorrelationContext.get_trace_id(),
        CorrelationContext.get_span_id(),
    )


def test_each_id_is_set_on_its_own() -> None:
    CorrelationContext.set_correlation_id("c")
    CorrelationContext.set_trace_id("t")
    CorrelationContext.set_span_id("s")
    assert ids() == ("c", "t", "s")
    CorrelationContext.set_trace_id(None)
    assert ids() == ("c", None, "s")
    CorrelationContext.clear()
    assert ids() == (None, None, None)


def test_the_class_and_its_instances_speak_of_the_same_ids() -> None:
    CorrelationContext().set_correlation_id("c")
    assert CorrelationContext.get_correlation_id() == "c"


def test_generating_an_id_does_not_set_it() -> None:
    assert UUID(CorrelationContext.generate_correlation_id()).version == 4
    assert CorrelationContext.get_correlation_id() is None


def test_get_or_create_creates_once() -> None:
    created = CorrelationContext.get_or_create_correlation_id()
    assert CorrelationContext.get_or_create_correlation_id() == created == CorrelationContext.get_correlation_id()


def test_headers_hold_only_what_is_set() -> None:
    assert CorrelationContext.create_context_headers() == {}
    CorrelationContext.set_correlation_id("c")
    CorrelationContext.set_span_id("s")
    assert CorrelationContext.create_context_headers() == {HEADER_CORRELATION_ID: "c", HEADER_SPAN_ID: "s"}
    assert (HEADER_CORRELATION_ID, HEADER_TRACE_ID, HEADER_SPAN_ID) == ("X-Correlation-ID", "X-Trace-ID", "X-Span-ID")


@given(correlation_id=IDS, trace_id=IDS, span_id=IDS, case=st.sampled_from([str.upper, str.lower, str.title]))
def test_headers_round_trip_whatever_their_case(
    correlation_id: str, trace_id: str, span_id: str, case: Callable[[str], str]
) -> None:
    with CorrelationContext.scope(correlation_id=correlation_id, trace_id=trace_id, span_id=span_id):
        sent = {case(name): value for name, value in CorrelationContext.create_context_headers().items()}
    CorrelationContext.clear()
    CorrelationContext.extract_context_from_headers(sent)
    assert ids() == (correlation_id, trace_id, span_id)


def test_an_id_without_header_stays() -> None:
    CorrelationContext.set_trace_id("t")
    CorrelationContext.extract_context_from_headers({"x-correlation-id": "c", "unrelated": "u"})
    assert ids() == ("c", "t", None)


@pytest.mark.parametrize("hostile", ["", "   ", "a\nb", "a\x00b", "x" * 257])
def test_a_header_that_is_no_id_is_treated_as_absent(hostile: str) -> None:
    CorrelationContext.set_correlation_id("c")
    CorrelationContext.extract_context_from_headers({HEADER_CORRELATION_ID: hostile})
    assert CorrelationContext.get_correlation_id() == "c"


def test_a_scope_restores_all_ids_whatever_happens_inside() -> None:
    CorrelationContext.set_correlation_id("outer")
    CorrelationContext.set_span_id("outer-span")

    def fail_inside() -> None:
        with CorrelationContext.scope(correlation_id="inner", trace_id="t"):
            assert ids() == ("inner", "t", "outer-span")
            CorrelationContext.clear()
            CorrelationContext.set_span_id("left behind")
            raise LookupError

    with pytest.raises(LookupError):
        fail_inside()
    assert ids() == ("outer", None, "outer-span")


def test_scopes_nest() -> None:
    with CorrelationContext.scope(correlation_id="a"):
        with CorrelationContext.scope(correlation_id="b"):
            assert CorrelationContext.get_correlation_id() == "b"
        assert CorrelationContext.get_correlation_id() == "a"
    assert CorrelationContext.get_correlation_id() is None


@pytest.mark.asyncio
async def test_concurrent_tasks_do_not_see_each_other() -> None:
    both_inside = asyncio.Barrier(2)

    async def work(name: str) -> str | None:
        with CorrelationContext.scope(correlation_id=name):
            await both_inside.wait()
            return CorrelationContext.get_correlation_id()

    assert list(await asyncio.gather(work("a"), work("b"))) == ["a", "b"]
    assert CorrelationContext.get_correlation_id() is None


def test_a_copied_context_keeps_its_ids_and_gives_none_back() -> None:
    CorrelationContext.set_correlation_id("outer")
    copied = contextvars.copy_context()
    copied.run(CorrelationContext.set_correlation_id, "inner")
    assert copied.run(CorrelationContext.get_correlation_id) == "inner"
    assert CorrelationContext.get_correlation_id() == "outer"
