"""Confluent's own serializer and deserializer work against our registry, and with our encoder and decoder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
import pytest_asyncio
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from cqrs.avro.decoder import AvroDecoder
from cqrs.avro.encoder import AvroEncoder
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.schemas import AvroSchemas
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.messaging.message import Message
from cqrs.types import Command, message_type

SHIPPED = Path(__file__).parents[2] / "schemas"
CREATE_ORDER = (SHIPPED / "commands" / "orders.CreateOrder.avsc").read_text()


@dataclass(frozen=True)
class OrderItem:
    sku: str
    quantity: int
    unit_price: Decimal


@message_type("orders.CreateOrder")
@dataclass(frozen=True)
class CreateOrder(Command[str]):
    order_id: str
    customer_id: str
    items: tuple[OrderItem, ...]
    currency: str


@dataclass(frozen=True)
class OrderCreated:
    event_type: ClassVar[str] = "orders.OrderCreated"
    order_id: str
    customer_id: str
    items: tuple[OrderItem, ...]
    currency: str
    total: Decimal
    version: int
    created_at: datetime


def kafka_headers(headers: list[tuple[str, str | bytes | None]]) -> tuple[tuple[str, bytes | None], ...]:
    return tuple((name, content.encode() if isinstance(content, str) else content) for name, content in headers)


DATUM = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}],
    "currency": "EUR",
}


@pytest.fixture
def registry(tmp_path: Path) -> FileSchemaRegistry:
    return FileSchemaRegistry(tmp_path)


@pytest_asyncio.fixture
async def client(registry: FileSchemaRegistry) -> AsyncIterator[SchemaRegistryClient]:
    server = ThreadedServer(schema_registry_app(registry))
    await server.start()
    with SchemaRegistryClient({"url": server.url, "timeout": 5}) as client:
        yield client
    await server.stop()


def context(topic: str, headers: list[tuple[str, str | bytes | None]] | None = None) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE, headers=headers)


@pytest.mark.asyncio
async def test_their_serializer_and_deserializer_round_trip_on_our_registry(client: SchemaRegistryClient) -> None:
    value = AvroSerializer(client, CREATE_ORDER)(DATUM, context("orders.commands"))

    assert AvroDeserializer(client)(value, context("orders.commands")) == DATUM
    assert client.get_subjects() == ["orders.commands-value"]


@pytest.mark.asyncio
async def test_our_decoder_reads_what_their_serializer_writes(
    client: SchemaRegistryClient, registry: FileSchemaRegistry
) -> None:
    serializer = AvroSerializer(
        client, CREATE_ORDER, conf={"subject.name.strategy": topic_record_subject_name_strategy}
    )
    value = serializer(DATUM, context("orders.commands"))
    assert value is not None

    parsed = await AvroDecoder(AvroSchemas.load(SHIPPED), registry).parse(
        Message("orders.commands", 0, 0, None, value), None
    )

    assert parsed.build(CreateOrder) == CreateOrder("o-1", "c-1", (OrderItem("A", 2, Decimal("9.99")),), "EUR")
    assert client.get_subjects() == ["orders.commands-orders.CreateOrder"]


@pytest.mark.asyncio
async def test_our_decoder_reads_their_header_framing(
    client: SchemaRegistryClient, registry: FileSchemaRegistry
) -> None:
    headers: list[tuple[str, str | bytes | None]] = []
    serializer = AvroSerializer(client, CREATE_ORDER, conf={"schema.id.serializer": header_schema_id_serializer})
    value = serializer(DATUM, context("orders.commands", headers))

    parsed = await AvroDecoder(AvroSchemas.load(SHIPPED), registry).parse(
        Message("orders.commands", 0, 0, None, value, kafka_headers(headers)), None
    )

    assert [name for name, _ in headers] == ["__value_schema_id"]
    assert parsed.build(CreateOrder).order_id == "o-1"


@pytest.mark.asyncio
async def test_their_deserializer_reads_what_our_encoder_writes(
    client: SchemaRegistryClient, registry: FileSchemaRegistry
) -> None:
    created_at = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    event = OrderCreated("o-1", "c-1", (OrderItem("A", 2, Decimal("9.99")),), "EUR", Decimal("19.98"), 1, created_at)

    encoded = await AvroEncoder(AvroSchemas.load(SHIPPED), registry).encode(event, "orders.events")

    assert AvroDeserializer(client)(encoded.value, context("orders.events")) == {
        **DATUM,
        "total": Decimal("19.98"),
        "version": 1,
        "created_at": created_at,
    }
    assert client.get_latest_version(str(encoded.data_schema)).version == 1
