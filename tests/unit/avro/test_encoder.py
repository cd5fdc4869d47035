import asyncio
import io
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from fastavro import parse_schema, schemaless_reader

from cqrs.avro.encoder import AvroEncoder, SubjectNaming
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.schemas import AvroSchemas
from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException

SHIPPED = Path(__file__).parents[3] / "schemas"
TOPIC = "orders.events"
SUBJECT = "orders.events-orders.OrderCreated"


@dataclass(frozen=True)
class OrderItem:
    sku: object
    quantity: object
    unit_price: object


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


EVENT = OrderCreated(
    order_id="o-1",
    customer_id="c-1",
    items=(OrderItem("A", 2, Decimal("9.99")),),
    currency="EUR",
    total=Decimal("19.98"),
    version=1,
    created_at=datetime(2026, 1, 31, 12, 0, 0, 123_999, tzinfo=UTC),
)


class CountingRegistry(FileSchemaRegistry):
    def __init__(self) -> None:
        super().__init__()
        self.registered: list[str] = []
        self.away = False

    async def register(self, subject: str, schema: str) -> int:
        self.registered.append(subject)
        if self.away:
            raise DependencyUnavailableException("schema registry", "asleep")
        return await super().register(subject, schema)


@pytest.fixture
def registry() -> CountingRegistry:
    return CountingRegistry()


@pytest.fixture
def encoder(registry: CountingRegistry) -> AvroEncoder:
    return AvroEncoder(AvroSchemas.load(SHIPPED), registry)


@pytest.mark.asyncio
async def test_an_event_is_framed_and_readable_by_its_registered_schema(
    encoder: AvroEncoder, registry: CountingRegistry
) -> None:
    encoded = await encoder.encode(EVENT, TOPIC)

    schema = await registry.schema_by_id(int.from_bytes(encoded.value[1:5], "big"))
    assert schema is not None
    assert schemaless_reader(io.BytesIO(encoded.value[5:]), parse_schema(json.loads(schema)), None) == {
        "order_id": "o-1",
        "customer_id": "c-1",
        "items": [{"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}],
        "currency": "EUR",
        "total": Decimal("19.98"),
        "version": 1,
        "created_at": datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC),
    }
    assert encoded.value[0] == 0
    assert (encoded.type_name, encoded.content_type) == ("orders.OrderCreated", "application/avro")
    assert encoded.data_schema == SUBJECT


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("naming", "subject"),
    [
        (SubjectNaming.TOPIC_RECORD_NAME, SUBJECT),
        (SubjectNaming.TOPIC_NAME, "orders.events-value"),
        (SubjectNaming.RECORD_NAME, "orders.OrderCreated"),
    ],
)
async def test_subjects_are_named_as_confluent_names_them(
    registry: CountingRegistry, naming: SubjectNaming, subject: str
) -> None:
    encoder = AvroEncoder(AvroSchemas.load(SHIPPED), registry, subject_naming=naming)

    assert (await encoder.encode(EVENT, TOPIC)).data_schema == subject
    assert await registry.subjects() == [subject]


@pytest.mark.asyncio
async def test_a_schema_is_registered_once_for_each_topic(encoder: AvroEncoder, registry: CountingRegistry) -> None:
    await asyncio.gather(*(encoder.encode(EVENT, TOPIC) for _ in range(20)))
    await encoder.encode(EVENT, "audit")

    assert registry.registered == [SUBJECT, "audit-orders.OrderCreated"]


@pytest.mark.asyncio
async def test_a_schema_can_be_registered_before_the_first_event(
    encoder: AvroEncoder, registry: CountingRegistry
) -> None:
    schema_id = await encoder.register(OrderCreated, TOPIC)

    assert (await encoder.encode(EVENT, TOPIC)).value[1:5] == schema_id.to_bytes(4, "big")
    assert registry.registered == [SUBJECT]


@pytest.mark.asyncio
async def test_an_absent_registry_is_waited_for(encoder: AvroEncoder, registry: CountingRegistry) -> None:
    registry.away = True
    with pytest.raises(DependencyUnavailableException, match="asleep"):
        await encoder.encode(EVENT, TOPIC)
    registry.away = False

    assert (await encoder.encode(EVENT, TOPIC)).data_schema == SUBJECT


@pytest.mark.asyncio
async def test_a_service_that_registers_nothing_waits_until_somebody_has(registry: CountingRegistry) -> None:
    encoder = AvroEncoder(AvroSchemas.load(SHIPPED), registry, auto_register=False)
    with pytest.raises(DependencyUnavailableException, match=f"{SUBJECT} has not got the schema of this release"):
        await encoder.encode(EVENT, TOPIC)
    assert registry.registered == []

    await registry.register(SUBJECT, (SHIPPED / "events" / "orders.OrderCreated.avsc").read_text("utf-8"))

    assert (await encoder.encode(EVENT, TOPIC)).data_schema == SUBJECT
    assert registry.registered == [SUBJECT]


@pytest.mark.asyncio
async def test_a_schema_that_the_registry_refuses_fails_the_event(
    encoder: AvroEncoder, registry: CountingRegistry
) -> None:
    await registry.register(SUBJECT, '{"type": "record", "name": "orders.OrderCreated", "fields": []}')

    with pytest.raises(UnpublishableEventException, match=r"refuses the schema .* order_id: is not written"):
        await encoder.encode(EVENT, TOPIC)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"total": Decimal("19.981")}, "total"),
        ({"total": Decimal(10**12)}, "total"),
        ({"total": 19.98}, "total"),
        ({"version": True}, "version"),
        ({"version": 1.0}, "version"),
        ({"version": 2**31}, "version"),
        ({"order_id": 5}, "order_id"),
        ({"order_id": None}, "order_id"),
        ({"created_at": datetime(2026, 1, 1)}, "created_at"),  # noqa: DTZ001
        ({"items": (OrderItem("A", 1, Decimal(1)), OrderItem("A", "1", Decimal(1)))}, r"items\[1\].quantity"),
        ({"items": None}, "items"),
    ],
)
async def test_what_does_not_fit_is_not_written(
    encoder: AvroEncoder, registry: CountingRegistry, changes: dict[str, object], path: str
) -> None:
    with pytest.raises(UnpublishableEventException, match=f"orders.OrderCreated does not fit its schema: {path}: "):
        await encoder.encode(replace(EVENT, **changes), TOPIC)  # type: ignore[arg-type]

    assert registry.registered == []


@dataclass(frozen=True)
class Drifted:
    event_type: ClassVar[str] = "orders.OrderCancelled"
    order_id: str
    reason: str
    version: str
    colour: str


@dataclass(frozen=True)
class Schemaless:
    event_type: ClassVar[str] = "orders.Unheard"


@pytest.mark.asyncio
async def test_a_class_that_drifted_from_its_schema_is_told_at_start_and_refused(encoder: AvroEncoder) -> None:
    problems = encoder.problems(Drifted, TOPIC)

    assert len(problems) == 3
    assert all(TOPIC in problem for problem in problems)
    with pytest.raises(UnpublishableEventException) as raised:
        await encoder.encode(Drifted("o", "r", "1", "red"), TOPIC)
    for path in ("version: must be an int", "colour: is not in the schema", "cancelled_at: is missing"):
        assert path in str(raised.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("event", "says"), [(Schemaless(), r"orders.Unheard.avsc is missing"), (object(), "declares no name")]
)
async def test_an_event_without_a_schema_is_refused(encoder: AvroEncoder, event: object, says: str) -> None:
    with pytest.raises(UnpublishableEventException, match=says):
        await encoder.encode(event, TOPIC)
    assert len(encoder.problems(type(event), TOPIC)) == 1


def test_an_event_that_fits_has_no_problems(encoder: AvroEncoder) -> None:
    @dataclass(frozen=True)
    class OrderCancelled:
        event_type: ClassVar[str] = "orders.OrderCancelled"
        order_id: str
        reason: str
        version: int
        cancelled_at: datetime

    assert encoder.problems(OrderCancelled, TOPIC) == []
