import io
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from fastavro import schemaless_reader
from pydantic import BaseModel

from cqrs.avro.encoder import AvroEncoder
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.schemas import AvroSchemas
from cqrs.types import Command, message_type

SCHEMAS = AvroSchemas.load(Path(__file__).parents[3] / "schemas")
ITEM = {"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}


@message_type("orders.AddItem")
@dataclass(frozen=True)
class Frozen(Command[str]):
    order_id: str
    item: dict[str, object]


@message_type("orders.AddItem")
class Model(BaseModel, Command[str]):  # type: ignore[misc]  # BaseModel.validate is another thing
    order_id: str
    item: dict[str, object]


@message_type("orders.AddItem")
class Plain(Command[str]):
    def __init__(self, order_id: str, item: dict[str, object]) -> None:
        self.order_id = order_id
        self.item = item


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Frozen, Model, Plain])
async def test_metadata_of_a_message_is_not_written(kind: type[Frozen]) -> None:
    command = kind(order_id="o-1", item=ITEM)
    command.set_metadata("colour", "red")
    command.set_correlation_id("c-1")

    encoded = await AvroEncoder(SCHEMAS, FileSchemaRegistry()).encode(command, "orders.commands")

    schema = SCHEMAS.get("orders.AddItem")
    assert schema is not None
    read = schemaless_reader(io.BytesIO(encoded.value[5:]), schema.parsed, None)
    assert read == {"order_id": "o-1", "item": ITEM}
    assert b"red" not in encoded.value
