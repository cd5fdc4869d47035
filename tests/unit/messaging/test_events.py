"""Events leave in a CloudEvents envelope whose id repeats when the command runs again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from cqrs.event.origin import EventOrigin
from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.messaging.delivery import Delivery, current_delivery
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.events import MessageEventPublisher, event_id
from cqrs.messaging.message import Message
from cqrs.messaging.ports import EncodedEvent
from cqrs.testing.memory import MemoryBroker, MemoryProducer

ORIGIN = EventOrigin("cmd-1", "orders.CreateOrder", 0, "corr-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


@dataclass
class Happened:
    order_id: str = "o-1"
    number: int = 7


class Encoder:
    def __init__(self, subject: str | None) -> None:
        self.subject = subject

    async def encode(self, event: object, topic: str) -> EncodedEvent:
        return EncodedEvent(b"bytes", "orders.Happened", "application/avro", self.subject)

    def problems(self, event_type: type, topic: str) -> Sequence[str]:
        return ()


def publisher(producer: MemoryProducer) -> MessageEventPublisher:
    encoders = {"avro": Encoder("orders.events-orders.Happened"), "json": Encoder(None)}
    return MessageEventPublisher(producer, encoders, source="/orders", default_destination="e", now=NOW.timestamp)


async def published(**keywords: object) -> Message:
    broker = MemoryBroker({"e": 1, "orders.events": 1})
    await publisher(MemoryProducer(broker)).publish(Happened(), **keywords)  # type: ignore[arg-type]
    (message,) = broker.messages("e") + broker.messages("orders.events")
    return message


@pytest.mark.asyncio
async def test_the_envelope_is_complete() -> None:
    message = await published(destination="orders.events", message_format="avro", key="order_id", origin=ORIGIN)

    assert (message.topic, message.key, message.value) == ("orders.events", b"o-1", b"bytes")
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": event_id(ORIGIN).encode(),
        "ce_source": b"/orders",
        "ce_type": b"orders.Happened",
        "ce_time": b"2026-01-02T03:04:05.678Z",
        "ce_subject": b"o-1",
        "ce_partitionkey": b"o-1",
        "ce_correlationid": b"corr-1",
        "ce_causationid": b"cmd-1",
        "ce_dataschema": b"orders.events-orders.Happened",
        "content-type": b"application/avro",
    }


def test_an_events_id_depends_on_its_command_and_place_alone() -> None:
    again = EventOrigin("cmd-1", "orders.Renamed", 0, "another correlation")

    assert event_id(ORIGIN) == event_id(again)
    assert event_id(ORIGIN) != event_id(EventOrigin("cmd-1", "orders.CreateOrder", 1, "corr-1"))
    assert event_id(ORIGIN) != event_id(EventOrigin("cmd-2", "orders.CreateOrder", 0, "corr-1"))


@pytest.mark.asyncio
async def test_without_a_key_field_the_commands_own_key_keeps_the_order() -> None:
    command = Message("c", 0, 0, b"aggregate", b"")
    token = current_delivery.set(Delivery(command, read_envelope(command)))
    try:
        message = await published(origin=ORIGIN)
    finally:
        current_delivery.reset(token)

    assert message.key == b"aggregate"
    assert dict(message.headers)["ce_partitionkey"] == b"aggregate"


@pytest.mark.asyncio
async def test_an_event_outside_of_any_command_has_no_key_no_cause_and_an_id_of_its_own() -> None:
    first, second = await published(), await published()

    headers = dict(first.headers)
    assert first.key is None
    assert "ce_causationid" not in headers
    assert "ce_subject" not in headers
    assert headers["ce_id"] != dict(second.headers)["ce_id"]
    assert headers["ce_correlationid"] == headers["ce_id"]


@pytest.mark.asyncio
async def test_a_key_that_is_no_text_is_written_as_text() -> None:
    assert (await published(key="number", origin=ORIGIN)).key == b"7"


@pytest.mark.asyncio
async def test_an_event_without_its_key_is_refused() -> None:
    with pytest.raises(UnpublishableEventException, match="customer_id"):
        await published(key="customer_id", origin=ORIGIN)


@pytest.mark.asyncio
async def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnpublishableEventException, match="avro, json"):
        await published(message_format="xml")


@pytest.mark.asyncio
async def test_a_send_that_is_not_acknowledged_is_the_callers_to_know() -> None:
    producer = MemoryProducer(MemoryBroker({"e": 1}))
    producer.failures.append(DependencyUnavailableException("kafka", "away"))

    with pytest.raises(DependencyUnavailableException):
        await publisher(producer).publish(Happened())
