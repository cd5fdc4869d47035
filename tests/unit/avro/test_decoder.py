import asyncio
import io
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_writer

from cqrs.avro.decoder import AvroDecoder, AvroPayload
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.framing import SCHEMA_ID_HEADER, frame
from cqrs.avro.schemas import AvroSchemas
from cqrs.exceptions import DependencyUnavailableException, UndecodableMessageException
from cqrs.messaging.message import Headers, Message
from cqrs.messaging.schemas import schema_guid
from cqrs.types import Command, message_type

SHIPPED = Path(__file__).parents[3] / "schemas"
CREATE_ORDER = (SHIPPED / "commands" / "orders.CreateOrder.avsc").read_text()


@dataclass(frozen=True)
class OrderItem:
    sku: str
    quantity: int
    unit_price: Decimal


@message_type("orders.CreateOrder", aliases=("orders.PlaceOrder",))
@dataclass(frozen=True)
class CreateOrder(Command[str]):
    order_id: str
    customer_id: str
    items: tuple[OrderItem, ...]
    currency: str


@message_type("orders.Unheard")
@dataclass(frozen=True)
class Unheard(Command[str]):
    order_id: str


DATUM: dict[str, object] = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}],
    "currency": "EUR",
}
EXPECTED = CreateOrder("o-1", "c-1", (OrderItem("A", 2, Decimal("9.99")),), "EUR")


class WatchedRegistry(FileSchemaRegistry):
    """Count what is asked, hold answers back, and be away."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []
        self.away = False
        self.hostile: dict[int, str] = {}

    async def schema_by_id(self, schema_id: int) -> str | None:
        self.asked.append(schema_id)
        await asyncio.sleep(0)
        if self.away:
            raise DependencyUnavailableException("schema registry", "asleep")
        return self.hostile.get(schema_id) or await super().schema_by_id(schema_id)


def schema_of(**changes: object) -> dict[str, object]:
    return {**json.loads(CREATE_ORDER), **changes}


def written(schema: object, datum: object) -> bytes:
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(json.loads(json.dumps(schema))), datum)
    return body.getvalue()


def record(value: bytes, headers: Headers = ()) -> Message:
    return Message("orders.commands", 0, 0, None, value, headers)


@pytest.fixture
def registry() -> WatchedRegistry:
    return WatchedRegistry()


@pytest.fixture
def decoder(registry: WatchedRegistry) -> AvroDecoder:
    return AvroDecoder(AvroSchemas.load(SHIPPED), registry)


async def payload(decoder: AvroDecoder, registry: FileSchemaRegistry, schema: object, datum: object) -> AvroPayload:
    schema_id = await registry.register("s", schema if isinstance(schema, str) else json.dumps(schema))
    return await decoder.parse(record(frame(schema_id, written(schema, datum))), None)


@pytest.mark.asyncio
async def test_a_value_names_its_type_and_becomes_the_command(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    parsed = await payload(decoder, registry, schema_of(), DATUM)

    assert parsed.type_name == "orders.CreateOrder"
    assert parsed.build(CreateOrder) == EXPECTED


@pytest.mark.asyncio
@pytest.mark.parametrize("by_guid", [True, False])
async def test_the_schema_may_stand_in_the_header(
    decoder: AvroDecoder, registry: WatchedRegistry, *, by_guid: bool
) -> None:
    schema_id = await registry.register("s", CREATE_ORDER)
    guid = bytes.fromhex(schema_guid(CREATE_ORDER).replace("-", ""))
    header = b"\x01" + guid if by_guid else b"\x00" + schema_id.to_bytes(4, "big")

    parsed = await decoder.parse(record(written(schema_of(), DATUM), ((SCHEMA_ID_HEADER, header),)), None)

    assert parsed.build(CreateOrder) == EXPECTED


@pytest.mark.asyncio
async def test_a_writers_older_and_newer_fields_are_resolved(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    fields = [*json.loads(CREATE_ORDER)["fields"], {"name": "note", "type": "string"}]
    parsed = await payload(decoder, registry, schema_of(fields=fields), {**DATUM, "note": "new"})

    assert parsed.build(CreateOrder) == EXPECTED


@pytest.mark.asyncio
async def test_a_renamed_command_is_read_under_its_old_name(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    parsed = await payload(decoder, registry, schema_of(name="PlaceOrder"), DATUM)

    assert parsed.type_name == "orders.PlaceOrder"
    assert parsed.build(CreateOrder) == EXPECTED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "datum", "says"),
    [
        ({"name": "CancelOrder"}, DATUM, "orders.CancelOrder is not orders.CreateOrder"),
        ({"namespace": "billing"}, DATUM, "billing.CreateOrder is not orders.CreateOrder"),
        ({"fields": [{"name": "order_id", "type": "string"}]}, {"order_id": "o"}, "customer_id: is not written"),
        ({"fields": [{"name": "order_id", "type": "int"}]}, {"order_id": 1}, "order_id: int cannot be read as string"),
    ],
)
async def test_a_schema_that_does_not_resolve_is_refused(
    decoder: AvroDecoder, registry: WatchedRegistry, changes: dict[str, object], datum: object, says: str
) -> None:
    parsed = await payload(decoder, registry, schema_of(**changes), datum)

    with pytest.raises(UndecodableMessageException, match=says):
        parsed.build(CreateOrder)


@pytest.mark.asyncio
async def test_a_command_without_a_schema_cannot_be_read(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    parsed = await payload(decoder, registry, schema_of(), DATUM)

    with pytest.raises(UndecodableMessageException, match=r"add schemas/\*\*/orders.Unheard.avsc"):
        parsed.build(Unheard)


@pytest.mark.asyncio
async def test_money_of_another_scale_is_refused(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    text = CREATE_ORDER.replace('"scale": 2', '"scale": 3')
    parsed = await payload(decoder, registry, json.loads(text), DATUM)

    with pytest.raises(UndecodableMessageException, match=r"items\[\].unit_price: decimal\(12,3\) cannot"):
        parsed.build(CreateOrder)


@pytest.mark.asyncio
async def test_money_of_too_many_digits_is_not_rounded(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    wide = json.loads(CREATE_ORDER.replace('"precision": 12', '"precision": 20'))
    body = written(wide, {**DATUM, "items": [{"sku": "A", "quantity": 1, "unit_price": Decimal("123456789012.34")}]})
    schema_id = await registry.register("s", CREATE_ORDER)

    parsed = await decoder.parse(record(frame(schema_id, body)), None)

    with pytest.raises(UndecodableMessageException, match=r"items\[0\].unit_price: has more digits"):
        parsed.build(CreateOrder)


@pytest.mark.asyncio
async def test_an_int_of_more_than_32_bits_is_refused(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    wide = json.loads(CREATE_ORDER.replace('"type": "int"', '"type": "long"'))
    body = written(wide, {**DATUM, "items": [{"sku": "A", "quantity": 2**40, "unit_price": Decimal("1.00")}]})
    schema_id = await registry.register("s", CREATE_ORDER)

    parsed = await decoder.parse(record(frame(schema_id, body)), None)

    with pytest.raises(UndecodableMessageException, match=r"items\[0\].quantity: has more than the 32 bits"):
        parsed.build(CreateOrder)


@pytest.mark.asyncio
async def test_every_truncation_and_every_trailing_byte_is_an_error(
    decoder: AvroDecoder, registry: WatchedRegistry
) -> None:
    schema_id, body = await registry.register("s", CREATE_ORDER), written(schema_of(), DATUM)
    for damaged in [*(body[:end] for end in range(len(body))), body + b"\x00", body + body]:
        parsed = await decoder.parse(record(frame(schema_id, damaged)), None)
        with pytest.raises(UndecodableMessageException, match=r"ends too early|behind its end|is not what its schema"):
            parsed.build(CreateOrder)


@pytest.mark.asyncio
async def test_text_that_is_not_utf8_is_an_error(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    schema_id, body = await registry.register("s", CREATE_ORDER), written(schema_of(), DATUM)
    parsed = await decoder.parse(record(frame(schema_id, body.replace(b"EUR", b"\xff\xfe\xfd"))), None)

    with pytest.raises(UndecodableMessageException, match="is not what its schema says"):
        parsed.build(CreateOrder)


def _laughs() -> object:
    level: object = {"type": "record", "name": "L0", "fields": [{"name": "x", "type": "null"}]}
    for depth in range(1, 60):
        fields = [{"name": "a", "type": level}, {"name": "b", "type": f"L{depth - 1}"}]
        level = {"type": "record", "name": f"L{depth}", "fields": fields}
    return level


def _holding(kind: object) -> object:
    return {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}


HOSTILE: Sequence[tuple[str, object]] = [
    ("deep", _holding(["null", "R"])),
    ("bomb", _holding({"type": "array", "items": {"type": "array", "items": "null"}})),
    ("zero width", _holding({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}})),
    ("laughs", _laughs()),
    ("not a record", "int"),
    ("huge", {"type": "record", "name": "R", "doc": "x" * 300_000, "fields": []}),
    ("not avro", {"type": "strange"}),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("schema", [schema for _, schema in HOSTILE], ids=[name for name, _ in HOSTILE])
async def test_hostile_schemas_are_refused_before_a_byte_is_read(
    decoder: AvroDecoder, registry: WatchedRegistry, schema: object
) -> None:
    registry.hostile[7] = json.dumps(schema)
    value = frame(7, b"\x02" * 50_000 + b"\x00")

    for _ in range(2):
        with pytest.raises(UndecodableMessageException, match="the writer's schema 7 is not read with"):
            await decoder.parse(record(value), None)

    assert registry.asked == [7]


@pytest.mark.asyncio
async def test_a_schema_of_fifty_thousand_levels_is_refused(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    registry.hostile[7] = '{"type":"array","items":' * 10_000 + '"int"' + "}" * 10_000

    with pytest.raises(UndecodableMessageException, match="nested deeper"):
        await decoder.parse(record(frame(7, b"")), None)


@pytest.mark.asyncio
async def test_small_values_stay_small_in_memory(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    """An array that claims 2**60 items, and lengths of 2**60 bytes, are noticed when the bytes are not there."""
    schema_id = await registry.register("s", CREATE_ORDER)
    huge = b"\x80\x80\x80\x80\x80\x80\x80\x80\x20"
    tracemalloc.start()
    try:
        for body in (b"\x02a\x02b" + huge + b"\x02A\x02\x02\x01" * 1000, huge + b"x" * 5000):
            parsed = await decoder.parse(record(frame(schema_id, body)), None)
            with pytest.raises(UndecodableMessageException):
                parsed.build(CreateOrder)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.asyncio
async def test_a_value_over_the_limit_is_not_looked_at(registry: WatchedRegistry) -> None:
    decoder = AvroDecoder(AvroSchemas.load(SHIPPED), registry, max_bytes=100)

    with pytest.raises(UndecodableMessageException, match="101 bytes, more than the 100"):
        await decoder.parse(record(frame(1, b"x" * 96)), None)
    assert registry.asked == []


@pytest.mark.asyncio
async def test_an_unknown_id_is_named_and_asked_for_again(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    for _ in range(2):
        with pytest.raises(UndecodableMessageException, match="knows no schema 4711"):
            await decoder.parse(record(frame(4711, b"")), None)

    assert registry.asked == [4711, 4711]


@pytest.mark.asyncio
async def test_an_absent_registry_is_waited_for_and_not_remembered(
    decoder: AvroDecoder, registry: WatchedRegistry
) -> None:
    schema_id = await registry.register("s", CREATE_ORDER)
    message = record(frame(schema_id, written(schema_of(), DATUM)))
    registry.away = True
    with pytest.raises(DependencyUnavailableException, match="asleep"):
        await decoder.parse(message, None)
    registry.away = False

    assert (await decoder.parse(message, None)).build(CreateOrder) == EXPECTED


@pytest.mark.asyncio
async def test_a_schema_is_asked_for_once(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    schema_id = await registry.register("s", CREATE_ORDER)
    message = record(frame(schema_id, written(schema_of(), DATUM)))

    parsed = await asyncio.gather(*(decoder.parse(message, None) for _ in range(100)))

    assert [each.build(CreateOrder) for each in parsed] == [EXPECTED] * 100
    assert registry.asked == [schema_id]


@pytest.mark.asyncio
async def test_a_value_can_be_read_as_its_writer_wrote_it(decoder: AvroDecoder, registry: WatchedRegistry) -> None:
    fields = [*json.loads(CREATE_ORDER)["fields"], {"name": "note", "type": "string"}]
    datum = {**DATUM, "note": "new"}
    parsed = await payload(decoder, registry, schema_of(name="NobodyHasThis", fields=fields), datum)
    assert (parsed.type_name, parsed.plain()) == ("orders.NobodyHasThis", datum)

    schema_id = await registry.register("other", CREATE_ORDER)
    for body in (written(schema_of(), DATUM)[:-2], written(schema_of(), DATUM) + b"x"):
        broken = await decoder.parse(record(frame(schema_id, body)), None)
        with pytest.raises(UndecodableMessageException):
            broken.plain()
