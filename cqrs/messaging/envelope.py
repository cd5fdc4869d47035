"""The CloudEvents envelope in Kafka record headers: read from every record, written on every event.

Source: CloudEvents 1.0.2, Kafka protocol binding, binary content mode.
"""

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from cqrs.messaging.dead_letter_headers import (
    ORIGINAL_OFFSET,
    ORIGINAL_PARTITION,
    ORIGINAL_TOPIC,
    REDRIVE_TRACEPARENT,
)
from cqrs.messaging.message import Headers, Message
from cqrs.messaging.name_based_ids import name_based_id

ID = "ce_id"
TYPE = "ce_type"
SOURCE = "ce_source"
TIME = "ce_time"
SUBJECT = "ce_subject"
SPEC_VERSION = "ce_specversion"
PARTITION_KEY = "ce_partitionkey"
CORRELATION_ID = "ce_correlationid"
CAUSATION_ID = "ce_causationid"
DATA_SCHEMA = "ce_dataschema"
CONTENT_TYPE = "content-type"
TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
"""The W3C headers, which are replaced at every hop and never appended."""

_CARRIED = TRACE_HEADERS | {REDRIVE_TRACEPARENT}
_ORIGIN = frozenset({ORIGINAL_TOPIC, ORIGINAL_PARTITION, ORIGINAL_OFFSET})

_ALIASES = {
    "x-correlation-id": CORRELATION_ID,
    "correlation-id": CORRELATION_ID,
    "correlation_id": CORRELATION_ID,
    "kafka_correlationid": CORRELATION_ID,
}
_KNOWN = frozenset(
    {
        ID,
        TYPE,
        SOURCE,
        TIME,
        SUBJECT,
        SPEC_VERSION,
        PARTITION_KEY,
        CORRELATION_ID,
        CAUSATION_ID,
        DATA_SCHEMA,
        CONTENT_TYPE,
    }
)
_NAMES = {name: name for name in _KNOWN} | _ALIASES
_DECISIVE = (ID, TYPE, CONTENT_TYPE)
_DERIVED_IDS = uuid.UUID("6f0f5b58-3c0c-5a53-9b53-0d6c3d6f7c11").bytes


class Envelope(NamedTuple):
    """Hold what the headers of one record say of it.

    Attributes:
        id: The message id: `ce_id`, or one derived from topic, partition and offset, the same at every redelivery.
        correlation_id: The inherited correlation id, or the message's own id when it is the root.
        type: The declared type, or None.
        content_type: The media type in lower case without parameters, or None.
        source: Who sent it, or None.
        subject: The id of the aggregate it is about, or None.
        causation_id: The id of the message that caused it, or None.
        time: When it was made, in UTC; the record's own timestamp when the header is absent or unreadable.
        ignored: The names of our headers whose value could not be read.
        conflict: What the headers contradict each other about, as a sentence, or None.
        carried: Those of the headers that name a trace, as they came.
    """

    id: str
    correlation_id: str
    type: str | None
    content_type: str | None
    source: str | None
    subject: str | None
    causation_id: str | None
    time: datetime
    ignored: tuple[str, ...] = ()
    conflict: str | None = None
    carried: Headers = ()


def read_envelope(message: Message) -> Envelope:
    """Read the envelope of `message`; never fails, whatever the bytes.

    Header names count in any case. Of a repeated header the last readable value wins, as Kafka's `lastHeader` has it;
    a record that declares two different ids, types or content types is marked as contradictory.
    """
    values, carried = _collect_plain(message.headers)
    ignored: tuple[str, ...] = ()
    conflict: str | None = None
    if values is None:
        values, ignored, conflict = _collect(message.headers)
    get = values.get
    message_id = get(ID) or derived_id(message)
    content_type = get(CONTENT_TYPE)
    return Envelope(  # by place: by name it takes twice as long
        message_id,
        get(CORRELATION_ID) or message_id,
        get(TYPE),
        content_type and _media_type(content_type),
        get(SOURCE),
        get(SUBJECT),
        get(CAUSATION_ID),
        _time(get(TIME), message.timestamp_ms),
        ignored,
        conflict,
        carried,
    )


def derived_id(message: Message) -> str:
    """Return an id for a record that brings none: a uuid5 of its place, so that a redelivery repeats it.

    A redriven dead letter has the id of the record that it was.
    """
    return name_based_id(_DERIVED_IDS, _first_place(message))


def _first_place(message: Message) -> str:
    origin = {name: value for name, value in message.headers if name in _ORIGIN and value is not None}
    if origin.keys() != _ORIGIN:
        return message.place
    topic = origin[ORIGINAL_TOPIC].decode(errors="replace")
    partition = int.from_bytes(origin[ORIGINAL_PARTITION], "big", signed=True)
    return Message(topic, partition, int.from_bytes(origin[ORIGINAL_OFFSET], "big", signed=True), None, None).place


def write_headers(fields: dict[str, str | None]) -> Headers:
    """Return the record headers of `fields` in their order, leaving out those that are None."""
    return tuple((name, value.encode()) for name, value in fields.items() if value is not None)


def _collect_plain(headers: Headers) -> tuple[dict[str, str] | None, Headers]:
    """Return the values by name, None when the headers need a closer look; and those that name a trace.

    Nearly every record has headers that are each spelt as here, there once, not empty and UTF-8.
    """
    values: dict[str, str] | None = {}
    carried: Headers = ()
    for header in headers:
        name, value = header
        if name in _KNOWN:
            if values is None or not value or name in values:
                values = None
                continue
            try:
                values[name] = value.decode()
            except UnicodeDecodeError:
                values = None
        elif (lowered := name.lower()) in _CARRIED:
            carried += (header,)
        elif lowered in _NAMES:
            values = None
    return values, carried


def _collect(headers: Headers) -> tuple[dict[str, str], tuple[str, ...], str | None]:
    values: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    conflict: str | None = None
    for raw_name, raw_value in headers:
        name = _NAMES.get(raw_name) or _NAMES.get(raw_name.lower())
        if name is None or (name in values and raw_name.lower() in _ALIASES):
            continue
        value = _text(raw_value)
        if value is None:
            ignored = (*ignored, name)
        elif name in values and name in _DECISIVE and values[name] != value:
            conflict = f"header {name} is given twice, as {values[name]!r} and {value!r}; send it once"
        else:
            values[name] = value
    return values, ignored, conflict


def _text(value: bytes | None) -> str | None:
    if not value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


@lru_cache(256)
def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _time(text: str | None, timestamp_ms: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if text else None
        if moment is not None and moment.tzinfo is not None:
            return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # an offset may move the first and the last day of the calendar out of it
        pass
    return _moment(timestamp_ms)


def _moment(timestamp_ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # the producer may write any 64-bit number
        return datetime.fromtimestamp(0, UTC)
