"""The check of what contestants wrote is checked itself: each planted fault is found, and the right events pass."""

import io
from collections.abc import Callable
from dataclasses import replace

import fastavro
import pytest

from benchmarks.flow.checks import Asked, Event, problems
from benchmarks.flow.job import EVENT, command, schema
from benchmarks.flow.roster import CONTESTANTS, DECODING, FASTSTREAM_BATCH_TRACED, PLAIN, SPANS, SQLITE

ASKED = Asked(series=4, messages=20)
BY_TITLE = {each.title: each for each in CONTESTANTS}
_SCHEMA = fastavro.parse_schema(schema(EVENT))


def event(number: int, **headers: bytes) -> Event:
    cause = command(number, ASKED.series)
    given = dict(cause.headers)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _SCHEMA, cause.content)
    made = {
        "ce_specversion": b"1.0",
        "ce_id": f"event-{number}".encode(),
        "ce_source": b"/flow",
        "ce_type": EVENT.encode(),
        "ce_time": b"2026-01-01T00:00:00Z",
        "ce_correlationid": given["ce_correlationid"],
        "ce_causationid": given["ce_id"],
        "content-type": b"application/avro",
        "traceparent": given["traceparent"],
    }
    return Event(cause.key, b"\0\0\0\0\1" + out.getvalue(), made | headers)


def events() -> list[Event]:
    return [event(number) for number in range(ASKED.messages)]


def test_the_right_events_pass() -> None:
    assert problems(BY_TITLE[PLAIN], ASKED, events()) == []


FAULTS: dict[str, tuple[Callable[[list[Event]], list[Event]], str]] = {
    "one lost": (lambda all_: all_[1:], "wrote 19 events for 20 commands; 1 commands are the cause"),
    "one twice": (lambda all_: [*all_, all_[0]], "gave 21 events 20 ids"),
    "one instead of another": (
        lambda all_: [*all_[1:], event(1, ce_id=b"new")],
        "1 commands are the cause of no event",
    ),
    "another key": (lambda all_: [all_[0]._replace(key=b"x"), *all_[1:]], "with the key b'x'"),
    "no key": (lambda all_: [all_[0]._replace(key=None), *all_[1:]], "with the key None"),
    "another value": (lambda all_: [all_[0]._replace(value=event(19).value), *all_[1:]], "of command 19 has ce_"),
    "no framing": (lambda all_: [all_[0]._replace(value=b"\1" + all_[0].value[1:]), *all_[1:]], "is not framed"),
    "bytes behind": (lambda all_: [all_[0]._replace(value=all_[0].value + b"x"), *all_[1:]], "more than its value"),
    "header missing": (lambda all_: [event(0, ce_source=b""), *all_[1:]], "lacks ce_source"),
    "said to be JSON": (
        lambda all_: [event(0, **{"content-type": b"application/json"}), *all_[1:]],
        "application/json",
    ),
    "other correlation": (lambda all_: [event(0, ce_correlationid=b"x"), *all_[1:]], "has ce_correlationid b'x'"),
    "other trace": (lambda all_: [event(0, traceparent=b"00-aa-bb-01"), *all_[1:]], "is in another trace"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    plant, said = FAULTS[fault]

    assert said in "; ".join(problems(BY_TITLE[PLAIN], ASKED, plant(events())))


def test_who_is_traced_has_a_span_of_its_own_on_each_event() -> None:
    found = problems(BY_TITLE[SPANS], ASKED, events())

    assert "has the span of its sender, so nothing was traced" in found[0]


def test_a_batch_that_has_one_trace_says_so_in_its_line_and_is_not_held_to_more() -> None:
    traced = [event(number, traceparent=b"00-aa-bb-01") for number in range(ASKED.messages)]

    assert problems(BY_TITLE[FASTSTREAM_BATCH_TRACED], ASKED, traced) == []
    assert "trace" in BY_TITLE[FASTSTREAM_BATCH_TRACED].lacks
    assert problems(replace(BY_TITLE[FASTSTREAM_BATCH_TRACED], one_trace=True), ASKED, traced)


def test_who_is_to_write_nothing_is_held_to_that() -> None:
    assert problems(BY_TITLE[DECODING], ASKED, []) == []
    assert problems(BY_TITLE[DECODING], ASKED, events()) == ["wrote 20 events, and was to write none"]


def test_the_order_service_is_held_to_its_headers() -> None:
    assert problems(BY_TITLE[SQLITE], ASKED, events()) == []
    assert problems(BY_TITLE[SQLITE], ASKED, [event(0, ce_time=b""), *events()[1:]]) == ["an event lacks ce_time"]
