from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach

from cqrs.telemetry.trace_headers import FIELDS, read_context, write_context
from cqrs.tracing.tracer import Headers

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()
OTHER = b"00-11111111111111111111111111111111-2222222222222222-00"


class Ignored:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, header: str, reason: str) -> None:
        self.seen.append((header, reason))


@pytest.fixture
def ignored() -> Ignored:
    return Ignored()


@pytest.fixture
def in_context() -> Iterator["Attached"]:
    attached = Attached()
    yield attached
    attached.leave()


class Attached:
    def __init__(self) -> None:
        self._tokens = [attach(Context())]

    def __call__(self, context: Context) -> None:
        self._tokens.append(attach(context))

    def leave(self) -> None:
        while self._tokens:
            detach(self._tokens.pop())


def parent_of(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


def test_a_valid_traceparent_is_the_remote_parent(ignored: Ignored) -> None:
    parent = parent_of(read_context((("traceparent", PARENT),), ignored))
    assert f"{parent.trace_id:032x}" == TRACE
    assert f"{parent.span_id:016x}" == SPAN
    assert parent.trace_flags.sampled
    assert parent.is_remote
    assert ignored.seen == []


@pytest.mark.parametrize("name", ["Traceparent", "TRACEPARENT", "traceParent"])
def test_names_are_read_in_any_case(name: str, ignored: Ignored) -> None:
    assert parent_of(read_context(((name, PARENT),), ignored)).is_valid


def test_blanks_around_a_value_do_no_harm(ignored: Ignored) -> None:
    assert parent_of(read_context((("traceparent", b" \t" + PARENT + b" "),), ignored)).is_valid


def test_a_later_version_may_carry_more_fields(ignored: Ignored) -> None:
    assert parent_of(
        read_context((("traceparent", b"cc" + PARENT[2:] + b"-what-the-future-brings"),), ignored)
    ).is_valid


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null"),
        (b"\xff\xfe", "not_utf8"),
        (b"", "malformed"),
        (b"hello", "malformed"),
        (PARENT.upper(), "malformed"),
        (PARENT + b"-more", "malformed"),
        (PARENT + b"\n", "malformed"),
        (b"ff" + PARENT[2:], "malformed"),
        (b"00-" + b"0" * 32 + PARENT[35:], "malformed"),
        (PARENT[:36] + b"0" * 16 + b"-01", "malformed"),
        (PARENT[:-2] + "\u0660\u0661".encode(), "malformed"),
        (PARENT * 20_000, "malformed"),
    ],
)
def test_a_bad_traceparent_is_ignored_and_told(value: bytes | None, reason: str, ignored: Ignored) -> None:
    context = read_context((("traceparent", value),), ignored)
    assert not parent_of(context).is_valid
    assert ignored.seen == [("traceparent", reason)]


def test_what_is_ignored_is_in_the_debug_log(ignored: Ignored, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="cqrs.telemetry.trace_headers"):
        read_context((("traceparent", b"\xff"),), ignored)
    assert [record.getMessage() for record in caplog.records] == [
        "Ignored a record's traceparent header (not_utf8): b'\\xff'"
    ]


def test_the_first_valid_one_of_a_repeated_header_wins(ignored: Ignored) -> None:
    headers: Headers = (("traceparent", b"bad"), ("traceparent", PARENT), ("Traceparent", OTHER))
    assert f"{parent_of(read_context(headers, ignored)).trace_id:032x}" == TRACE
    assert ignored.seen == [("traceparent", "malformed"), ("traceparent", "repeated")]


def test_tracestate_goes_along_with_its_parent(ignored: Ignored) -> None:
    headers: Headers = (("traceparent", PARENT), ("tracestate", b"rojo=00f067aa0ba902b7 , congo@eu=t61rcWkgMzE,"))
    state = parent_of(read_context(headers, ignored)).trace_state
    assert dict(state.items()) == {"rojo": "00f067aa0ba902b7", "congo@eu": "t61rcWkgMzE"}


@pytest.mark.parametrize(
    "state", [b"=", b"a", b"A=1", b"a=1,a=2", b"a=b=c", b"", b"a=\x01", ",".join(f"k{n}=v" for n in range(33)).encode()]
)
def test_a_bad_tracestate_leaves_the_parent_standing(state: bytes, ignored: Ignored) -> None:
    parent = parent_of(read_context((("traceparent", PARENT), ("tracestate", state)), ignored))
    assert parent.is_valid
    assert not parent.trace_state
    assert ignored.seen == [("tracestate", "malformed")]


def test_tracestate_without_a_parent_says_nothing(ignored: Ignored) -> None:
    assert not parent_of(read_context((("tracestate", b"a=1"),), ignored)).is_valid


def test_baggage_is_read_percent_decoded_and_without_properties(ignored: Ignored) -> None:
    context = read_context((("baggage", b"user = ann%20b , plan=a+b;ttl=3, empty="),), ignored)
    assert baggage.get_all(context) == {"user": "ann b", "plan": "a+b", "empty": ""}


@pytest.mark.parametrize("value", [b"novalue", b"a=1,b", "a=é".encode(), b'a="x"', b"a=" + b"x" * 9_000])
def test_bad_baggage_is_ignored_and_told(value: bytes, ignored: Ignored) -> None:
    assert baggage.get_all(read_context((("baggage", value),), ignored)) == {}
    assert ignored.seen == [("baggage", "malformed")]


def test_the_context_of_headers_is_apart_from_the_current_one(ignored: Ignored, in_context: Attached) -> None:
    in_context(baggage.set_baggage("mine", "1", read_context((("traceparent", OTHER),), ignored)))
    context = read_context((("ce_id", b"1"),), ignored)
    assert baggage.get_all(context) == {}
    assert not parent_of(context).is_valid


def test_nothing_is_written_without_a_span_and_baggage(in_context: Attached) -> None:
    in_context(Context())
    assert write_context() == ()


def test_what_was_read_is_written_as_it_was(ignored: Ignored, in_context: Attached) -> None:
    headers: Headers = (("traceparent", PARENT), ("tracestate", b"a=1,b=2"), ("baggage", b"k=v%20w"))
    in_context(read_context(headers, ignored))
    assert write_context() == headers


def test_baggage_that_cannot_be_written_is_left_out(in_context: Attached) -> None:
    context = baggage.set_baggage("a b", "x", Context())
    context = baggage.set_baggage("big", "x" * 8_000, context)
    context = baggage.set_baggage("more", "x" * 8_000, baggage.set_baggage("odd", "\ud800", context))
    in_context(context)
    assert [(name, value and value[:4]) for name, value in write_context()] == [("baggage", b"big=")]
    assert len(write_context()[0][1] or b"") < 8_192


names = st.sampled_from(sorted(FIELDS)) | st.sampled_from(["Traceparent", "BAGGAGE", "ce_id"]) | st.text(max_size=12)
values = (
    st.none()
    | st.binary(max_size=80)
    | st.sampled_from([PARENT, OTHER, b"a=1", b"a=1,b=2"])
    | st.text(alphabet='abc=,;%0-19@ \t+"\\', max_size=40).map(str.encode)
)


@given(headers=st.lists(st.tuples(names, values), max_size=8).map(tuple))
def test_whatever_headers_hold_they_are_read_and_written_at_most_once(headers: Headers) -> None:
    context = read_context(headers, lambda _header, _reason: None)
    token = attach(context)
    try:
        written = write_context()
    finally:
        detach(token)
    assert len({name for name, _ in written}) == len(written)
    assert {name for name, _ in written} <= FIELDS
    again = read_context(written, lambda header, reason: pytest.fail(f"{header} we wrote is {reason}"))
    assert parent_of(again) == parent_of(context) or not parent_of(context).is_valid
    assert baggage.get_all(again) == baggage.get_all(context)
