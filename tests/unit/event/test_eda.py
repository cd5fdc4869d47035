"""The event bus of the process: who is called, in which order, and what a failing subscriber does."""

from datetime import timedelta

import pytest

from cqrs.event.eda import EventEnvelope, EventPublisher, InProcessEventPublisher


def recording(seen: list[EventEnvelope], failing: Exception | None = None) -> object:
    async def handle(envelope: EventEnvelope) -> None:
        seen.append(envelope)
        if failing is not None:
            raise failing

    return handle


@pytest.mark.asyncio
async def test_subscribers_get_the_events_their_pattern_matches() -> None:
    bus = InProcessEventPublisher()
    seen: dict[str, list[str]] = {}
    for pattern in ("order.created", "order.*", "*", "Order.*"):
        bus.subscribe(pattern, lambda envelope, key=pattern: seen.setdefault(key, []).append(envelope.event_type))  # type: ignore[misc]
    await bus.publish("cqrs.events", "order.created", {})
    await bus.publish("cqrs.events", "order.updated", {})
    await bus.publish("cqrs.events", "customer.created", {})
    assert seen == {
        "order.created": ["order.created"],
        "order.*": ["order.created", "order.updated"],
        "*": ["order.created", "order.updated", "customer.created"],
    }
    assert isinstance(bus, EventPublisher)


@pytest.mark.asyncio
async def test_the_envelope_holds_what_was_published() -> None:
    bus = InProcessEventPublisher()
    seen: list[EventEnvelope] = []
    bus.subscribe("*", seen.append)
    await bus.publish("orders", "order.created", {"order_id": "o-1"}, headers={"X-Correlation-ID": "c"})
    await bus.publish("orders", "order.created", {"order_id": "o-2"})
    first, second = seen
    assert (first.destination, first.event_type, first.payload) == ("orders", "order.created", {"order_id": "o-1"})
    assert first.headers == {"X-Correlation-ID": "c"}
    assert second.headers == {}
    assert first.event_id != second.event_id
    assert first.timestamp.utcoffset() == timedelta(0)


@pytest.mark.asyncio
async def test_a_subscriber_that_fails_keeps_the_event_from_nobody_and_fails_the_publication() -> None:
    bus = InProcessEventPublisher()
    order: list[str] = []
    failure = ValueError("broken")

    async def failing(envelope: EventEnvelope) -> None:
        order.append("failing")
        raise failure

    bus.subscribe("*", failing)
    bus.subscribe("*", lambda envelope: order.append("other"))
    with pytest.raises(ValueError, match="broken") as raised:
        await bus.publish("orders", "order.created", {})
    assert raised.value is failure
    assert order == ["failing", "other"]

    bus.subscribe("*", failing)
    with pytest.raises(ExceptionGroup, match=r"2 subscribers failed with order\.created"):
        await bus.publish("orders", "order.created", {})


@pytest.mark.asyncio
async def test_a_subscriber_may_subscribe_another_which_hears_of_the_next_event() -> None:
    bus = InProcessEventPublisher()
    heard: list[str] = []

    def subscribing(envelope: EventEnvelope) -> None:
        bus.subscribe("*", lambda later: heard.append(later.event_type))

    bus.subscribe("first", subscribing)
    await bus.publish("orders", "first", {})
    assert heard == []
    await bus.publish("orders", "second", {})
    assert heard == ["second"]
