"""A few bytes of Avro neither kill the process nor fill its memory, and a value that is cut or too long is refused."""

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import fastavro
import pytest
import pytest_asyncio
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from service.bootstrap import order_service
from service.settings import EVENTS
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed, settings_in

CREATE_ORDER = json.loads(Path("schemas/commands/orders.CreateOrder.avsc").read_text(encoding="utf-8"))


def record_of(field_type: object) -> dict[str, object]:
    """Return a schema that passes for CreateOrder and holds one field."""
    return {
        "type": "record",
        "name": "CreateOrder",
        "namespace": "orders",
        "fields": [{"name": "items", "type": field_type}],
    }


RECURSIVE = record_of(["null", "orders.CreateOrder"])
ZERO_WIDTH = record_of({"type": "array", "items": "null"})
TWO_GIGABYTES = b"\xfe\xff\xff\xff\x0f"
"""2**31 - 1 as Avro writes a long: a length that no value here has."""


def written(order_id: str) -> bytes:
    """Return a good order as Avro."""
    out = io.BytesIO()
    item = {"sku": "A", "quantity": 1, "unit_price": Decimal("9.99")}
    data = {"order_id": order_id, "customer_id": "c", "items": [item], "currency": "EUR"}
    fastavro.schemaless_writer(out, fastavro.parse_schema(CREATE_ORDER), data)
    return out.getvalue()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    """Deploy one order service for every record of this file: it survives them all."""
    async with deployed(order_service(settings_in(tmp_path_factory.mktemp("orders")))) as found:
        yield found


async def schema_id(orders: Deployed, schema: dict[str, object]) -> int:
    """Register a schema as any client may, and return its id."""

    def register() -> int:
        with SchemaRegistryClient({"url": orders.service.registry_url}) as registry:
            return int(registry.register_schema(f"test-{len(str(schema))}", Schema(json.dumps(schema), "AVRO")))

    return await asyncio.to_thread(register)


async def outcome(orders: Deployed, key: str, schema: dict[str, object], body: bytes) -> dict[str, bytes | None]:
    """Send a framed value, and a good one behind it; return the dead letter's headers."""
    value = b"\x00" + struct.pack(">I", await schema_id(orders, schema)) + body
    good = b"\x00" + struct.pack(">I", await schema_id(orders, CREATE_ORDER)) + written(f"good behind {key}")
    await orders.produce(value, key=key.encode())
    await orders.produce(good, key=f"good behind {key}".encode())
    letters = await orders.until(DEAD_LETTERS, lambda found: any(each.message.key == key.encode() for each in found))
    await orders.until(EVENTS, lambda found: any(each.message.key == f"good behind {key}".encode() for each in found))
    (letter,) = [each.message for each in letters if each.message.key == key.encode()]
    assert letter.value == value
    return dict(letter.headers)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_schema_id_alone_makes_a_command(orders: Deployed) -> None:
    good = b"\x00" + struct.pack(">I", await schema_id(orders, CREATE_ORDER)) + written("o-1")
    await orders.produce(good, key=b"o-1")

    events = await orders.until(EVENTS, lambda found: any(each.message.key == b"o-1" for each in found))

    (value,) = [each.value for each in events if each.message.key == b"o-1"]
    assert isinstance(value, dict)
    assert value["total"] == Decimal("9.99")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("cut in the middle", written("o-2")[:-3]),
        ("cut to nothing", b""),
        ("with a byte too many", written("o-2") + b"\x00"),
        ("with a second value behind it", written("o-2") * 2),
        ("a text of two gigabytes", TWO_GIGABYTES + b"abc"),
        ("a text of negative length", b"\x03abc"),
        ("two thousand million items", b"\x02o\x02c" + TWO_GIGABYTES + b"\x00"),
        ("a number without an end", b"\xff" * 40),
        ("a text that is not UTF-8", b"\x04\xff\xfe" + written("o-2")[4:]),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_broken_value_is_refused(orders: Deployed, name: str, body: bytes) -> None:
    headers = await outcome(orders, name, CREATE_ORDER, body)

    assert headers["kafka_dlt-exception-fqcn"] == b"cqrs.exceptions.UndecodableMessageException"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_recursive_schema_is_refused_however_deep_its_value(orders: Deployed) -> None:
    headers = await outcome(orders, "50,000 levels", RECURSIVE, b"\x02" * 50_000 + b"\x00")

    assert headers["kafka_dlt-exception-fqcn"] == b"cqrs.exceptions.UndecodableMessageException"
    assert b"recurs" in (headers["kafka_dlt-exception-message"] or b"")


@pytest.mark.asyncio(loop_scope="module")
async def test_items_that_take_no_bytes_are_refused(orders: Deployed) -> None:
    headers = await outcome(orders, "two thousand million nulls", ZERO_WIDTH, TWO_GIGABYTES + b"\x00")

    assert headers["kafka_dlt-exception-fqcn"] == b"cqrs.exceptions.UndecodableMessageException"
