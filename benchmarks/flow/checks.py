"""Hold every contestant to the job before it is measured: what it wrote is compared with what was asked for."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import fastavro

from benchmarks.flow.job import EVENT, command, command_id, schema
from benchmarks.flow.roster import Contestant

_FRAMING_BYTES = 5
_REQUIRED = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_correlationid",
    "ce_causationid",
    "content-type",
    "traceparent",
)
_SCHEMA = fastavro.parse_schema(schema(EVENT))
_SHOWN = 3


class Event(NamedTuple):
    """Hold one record of the event topic.

    Attributes:
        key: The partition key.
        value: The value.
        headers: The headers; of a repeated one, the last.
    """

    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """Say which commands a turn had.

    Attributes:
        series: What tells their ids from those of other topics.
        messages: How many there were.
    """

    series: int
    messages: int


def problems(contestant: Contestant, asked: Asked, events: Sequence[Event]) -> list[str]:
    """Return what is wrong with the events of a turn, the first few of each kind; nothing when the job was done."""
    if contestant.job == "decode":
        return [f"wrote {len(events)} events, and was to write none"] if events else []
    found = []
    if len(events) != asked.messages:
        found.append(f"wrote {len(events)} events for {asked.messages} commands")
    ids = {event.headers.get("ce_id") for event in events}
    if len(ids) != len(events):
        found.append(f"gave {len(events)} events {len(ids)} ids")
    causes = {event.headers.get("ce_causationid", b"").decode() for event in events}
    missing = {command_id(number, asked.series) for number in range(asked.messages)} - causes
    if missing:
        found.append(f"{len(missing)} commands are the cause of no event")
    wrong = (sentence for event in events for sentence in _event_problems(contestant, asked, event))
    return found + [sentence for _, sentence in zip(range(_SHOWN), wrong, strict=False)]


def _event_problems(contestant: Contestant, asked: Asked, event: Event) -> Iterator[str]:
    absent = [name for name in _REQUIRED if not event.headers.get(name)]
    if absent:
        yield f"an event lacks {', '.join(absent)}"
        return
    if event.headers["content-type"] != b"application/avro":
        yield f"an event is said to be {event.headers['content-type'].decode()}"
    if contestant.job == "event":
        yield from _value_problems(contestant, asked, event)


def _value_problems(contestant: Contestant, asked: Asked, event: Event) -> Iterator[str]:
    body = io.BytesIO(event.value[_FRAMING_BYTES:])
    order = fastavro.schemaless_reader(body, _SCHEMA, None)
    if not isinstance(order, dict) or event.value[:1] != b"\0" or body.read():
        yield f"an event is not framed, or has more than its value: {event.value!r}"
        return
    number = int(order["amount"])
    cause = command(number, asked.series, contestant.job)
    headers = dict(cause.headers)
    if order != cause.content or event.key != cause.key:
        yield f"command {number} led to {order} with the key {event.key!r}"
    for name, expected in (("ce_correlationid", headers["ce_correlationid"]), ("ce_causationid", headers["ce_id"])):
        if event.headers[name] != expected:
            yield f"the event of command {number} has {name} {event.headers[name]!r} instead of {expected!r}"
    yield from _trace_problems(contestant, number, headers["traceparent"], event.headers["traceparent"])


def _trace_problems(contestant: Contestant, number: int, came: bytes, went: bytes) -> Iterator[str]:
    (_, trace, span, _), (_, own_trace, own_span, _) = came.split(b"-"), went.split(b"-")
    if contestant.one_trace and own_trace != trace:
        yield f"the event of command {number} is in another trace than its command"
    if contestant.traced and own_span == span:
        yield f"the event of command {number} has the span of its sender, so nothing was traced"
