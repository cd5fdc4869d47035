"""What the encoder writes, the decoder and fastavro's own reader read back, whatever the values."""

import asyncio
import enum
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from fastavro import parse_schema, schemaless_reader
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs.avro.comparison import command_problems, event_problems
from cqrs.avro.decoder import AvroDecoder
from cqrs.avro.encoder import AvroEncoder
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.framing import frame
from cqrs.avro.model import parse
from cqrs.avro.schemas import AvroSchemas
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message
from cqrs.serialization.json import JsonDecoder, JsonEncoder


class Colour(enum.Enum):
    RED = "RED"
    BLUE = "BLUE"


@dataclass(frozen=True)
class Inner:
    text: str
    money: Decimal


@dataclass(frozen=True)
class Everything:
    event_type: ClassVar[str] = "t.Everything"
    flag: bool
    small: int
    large: int
    ratio: float
    text: str
    raw: bytes
    money: Decimal
    exact: datetime
    rough: datetime
    day: date
    key: UUID
    colour: Colour
    maybe: str | None
    either: int | str | Inner | None
    inner: Inner
    many: tuple[Inner, ...]
    named: dict[str, tuple[int, ...]]


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


MONEY = logical("bytes", "decimal", precision=12, scale=2)
INNER = {
    "type": "record",
    "name": "Inner",
    "fields": [{"name": "text", "type": "string"}, {"name": "money", "type": MONEY}],
}
TYPES: dict[str, object] = {
    "flag": "boolean",
    "small": "int",
    "large": "long",
    "ratio": "double",
    "text": "string",
    "raw": "bytes",
    "money": MONEY,
    "exact": logical("long", "timestamp-micros"),
    "rough": logical("long", "timestamp-millis"),
    "day": logical("int", "date"),
    "key": logical("string", "uuid"),
    "colour": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]},
    "maybe": ["null", "string"],
    "either": ["int", "string", INNER, "null"],
    "inner": "Inner",
    "many": {"type": "array", "items": "Inner"},
    "named": {"type": "map", "values": {"type": "array", "items": "long"}},
}
SCHEMA = {
    "type": "record",
    "name": "t.Everything",
    "fields": [{"name": name, "type": kind} for name, kind in TYPES.items()],
}
SCHEMAS = AvroSchemas({"t.Everything": parse(json.dumps(SCHEMA))})

cents = st.integers(-(10**12) + 1, 10**12 - 1).map(lambda value: Decimal(value).scaleb(-2))
texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC) | st.timezones())  # noqa: DTZ001
whole_millis = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
inners = st.builds(Inner, text=texts, money=cents)
everything = st.builds(
    Everything,
    flag=st.booleans(),
    small=st.integers(-(2**31), 2**31 - 1),
    large=st.integers(-(2**63), 2**63 - 1),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    text=texts,
    raw=st.binary(),
    money=cents,
    exact=moments.map(lambda moment: moment.astimezone(UTC)),
    rough=whole_millis,
    day=st.dates(),
    key=st.uuids(),
    colour=st.sampled_from(Colour),
    maybe=st.none() | texts,
    either=st.none() | st.integers(-(2**31), 2**31 - 1) | texts | inners,
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    named=st.dictionaries(texts, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(tuple), max_size=3),
)


def record(value: bytes) -> Message:
    return Message("t", 0, 0, None, value)


def test_the_class_and_the_schema_mean_the_same() -> None:
    assert event_problems(SCHEMAS, Everything) == []
    assert command_problems(SCHEMAS, Everything) == []


@given(everything)
@settings(max_examples=60, deadline=None)
def test_an_event_comes_back_equal(event: Everything) -> None:
    async def round_trip() -> tuple[Everything, bytes]:
        registry = FileSchemaRegistry()
        encoded = await AvroEncoder(SCHEMAS, registry).encode(event, "t")
        payload = await AvroDecoder(SCHEMAS, registry).parse(record(encoded.value), None)
        return payload.build(Everything), encoded.value

    made, value = asyncio.run(round_trip())

    assert made == event
    datum = schemaless_reader(io.BytesIO(value[5:]), parse_schema(json.loads(json.dumps(SCHEMA))), None)
    assert isinstance(datum, dict)
    assert (datum["money"], datum["exact"], datum["key"], datum["text"]) == (
        event.money,
        event.exact,
        event.key,
        event.text,
    )


@given(everything)
@settings(max_examples=40, deadline=None)
def test_json_carries_the_same(event: Everything) -> None:
    async def round_trip() -> Everything:
        encoded = await JsonEncoder().encode(event, "t")
        payload = await JsonDecoder(contract=SCHEMAS.check).parse(record(encoded.value), encoded.type_name)
        return payload.build(Everything)

    assert asyncio.run(round_trip()) == event


@given(everything, st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_value_is_refused_or_read_and_never_worse(event: Everything, data: st.DataObject) -> None:
    async def damaged() -> None:
        registry = FileSchemaRegistry()
        value = bytearray((await AvroEncoder(SCHEMAS, registry).encode(event, "t")).value)
        place = data.draw(st.integers(5, len(value) - 1))
        value[place] ^= data.draw(st.integers(1, 255))
        payload = await AvroDecoder(SCHEMAS, registry).parse(record(bytes(value)), None)
        try:
            SCHEMAS.check(payload.build(Everything))
        except UndecodableMessageException:
            return

    asyncio.run(damaged())


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_do_anything_but_be_refused(body: bytes) -> None:
    async def attempt() -> None:
        registry = FileSchemaRegistry()
        schema_id = await registry.register("t", json.dumps(SCHEMA))
        try:
            (await AvroDecoder(SCHEMAS, registry).parse(record(frame(schema_id, body)), None)).build(Everything)
        except UndecodableMessageException:
            return

    asyncio.run(attempt())
