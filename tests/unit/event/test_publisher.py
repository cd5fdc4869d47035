"""Publishers: the one that does nothing, and the one on an event bus."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import pytest
from pydantic import BaseModel

from cqrs.event.eda import EventEnvelope, InProcessEventPublisher
from cqrs.event.publisher import CommandEventPublisher, EdaCommandEventPublisher, NoOpEventPublisher, event_payload
from cqrs.exceptions import UnpublishableEventException
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import message_type


@dataclass(frozen=True)
class Item:
    price: Decimal


@dataclass(frozen=True)
class Created:
    event_type: ClassVar[str] = "order.created"
    order_id: str
    items: tuple[Item, ...]
    at: datetime


class Plain:
    def __init__(self) -> None:
        self.a = 1


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1


class Model(BaseModel):
    a: int = 1


@message_type("orders.Declared")
class Declared(Plain):
    pass


NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.asyncio
async def test_events_go_to_the_event_bus_with_type_payload_and_correlation_headers() -> None:
    bus = InProcessEventPublisher()
    seen: list[EventEnvelope] = []
    bus.subscribe("*", seen.append)
    publisher = EdaCommandEventPublisher(producer=bus, default_destination="own.events")

    with CorrelationContext.scope(correlation_id="c", trace_id="t", span_id="s"):
        await publisher.publish(Created("o-1", (Item(Decimal("9.99")),), NOW))
    await publisher.publish(Plain(), destination="elsewhere")

    first, second = seen
    assert (first.destination, first.event_type) == ("own.events", "order.created")
    assert first.payload == {"order_id": "o-1", "items": ({"price": Decimal("9.99")},), "at": NOW}
    assert first.headers == {"X-Correlation-ID": "c", "X-Trace-ID": "t", "X-Span-ID": "s"}
    assert (second.destination, second.event_type, second.payload) == ("elsewhere", "Plain", {"a": 1})


@pytest.mark.asyncio
async def test_the_default_destination_is_the_guides() -> None:
    seen: list[EventEnvelope] = []
    bus = InProcessEventPublisher()
    bus.subscribe("*", seen.append)
    await EdaCommandEventPublisher(bus).publish(Plain())
    assert seen[0].destination == "cqrs.events"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("event", "name"), [(Declared(), "orders.Declared"), ({"event_type": "order.x"}, "order.x"), ({"a": 1}, "dict")]
)
async def test_the_type_of_an_event(event: object, name: str) -> None:
    seen: list[EventEnvelope] = []
    bus = InProcessEventPublisher()
    bus.subscribe("*", seen.append)
    await EdaCommandEventPublisher(bus).publish(event)
    assert seen[0].event_type == name


@pytest.mark.parametrize("event", [Plain(), Slotted(), Model(), {"a": 1}], ids=lambda event: type(event).__name__)
def test_the_payload_is_the_fields_whatever_the_class(event: object) -> None:
    payload = event_payload(event)
    assert payload == {"a": 1}
    assert not isinstance(event, Mapping) or payload is not event


@pytest.mark.parametrize("event", ["text", 3, None, object()])
def test_an_event_without_fields_is_refused_rather_than_dropped(event: object) -> None:
    with pytest.raises(UnpublishableEventException, match="has no fields; publish a dataclass or a dict"):
        event_payload(event)


@pytest.mark.asyncio
async def test_the_noop_publisher_takes_everything() -> None:
    publisher: CommandEventPublisher = NoOpEventPublisher()
    assert isinstance(publisher, CommandEventPublisher)
    await publisher.publish("anything", destination="anywhere")
