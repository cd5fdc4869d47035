"""What a publisher is told, and how events are taken from where they lie."""

from collections import deque
from collections.abc import Iterable

import pytest

from cqrs.event.decorators import EventRoute
from cqrs.event.origin import EventOrigin
from cqrs.event.publisher import CommandEventPublisher
from cqrs.event.routing import EventOutlet, drain, put_back

ORIGIN = EventOrigin("c-1", "orders.Create", 0, "corr")
AVRO = EventRoute("orders.events", "avro", "order_id")


class Told:
    def __init__(self) -> None:
        self.keywords: list[dict[str, object]] = []


class Guide(Told):
    async def publish(self, event: object, *, destination: str | None = None) -> None:
        self.keywords.append({"destination": destination})


class WithOrigin(Told):
    async def publish(
        self, event: object, *, destination: str | None = None, origin: EventOrigin | None = None
    ) -> None:
        self.keywords.append({"destination": destination, "origin": origin})


class TakingAll(Told):
    async def publish(self, event: object, **keywords: object) -> None:
        self.keywords.append(keywords)


class TakingAllAndKey(Told):
    async def publish(self, event: object, *, key: str | None = None, **keywords: object) -> None:
        self.keywords.append({"key": key, **keywords})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("publisher", "route", "told"),
    [
        (Guide(), AVRO, {"destination": "orders.events"}),
        (WithOrigin(), AVRO, {"destination": "orders.events", "origin": ORIGIN}),
        (TakingAll(), AVRO, {"destination": "orders.events", "message_format": "avro", "key": "order_id"}),
        (TakingAll(), EventRoute(), {"destination": None}),
        (TakingAllAndKey(), EventRoute(), {"destination": None, "key": None}),
    ],
)
async def test_a_publisher_is_told_what_its_signature_names(
    publisher: Guide | WithOrigin | TakingAll | TakingAllAndKey, route: EventRoute, told: dict[str, object]
) -> None:
    publisher.keywords.clear()
    await EventOutlet(publisher).to(route)("event", ORIGIN)
    assert publisher.keywords == [told]


def test_what_a_publisher_cannot_be_told_is_a_problem() -> None:
    assert len(EventOutlet(Guide()).problems(AVRO)) == 2
    assert EventOutlet(Guide()).problems(EventRoute("orders.events")) == []
    taking: CommandEventPublisher = TakingAll()
    assert EventOutlet(taking).problems(AVRO) == []


def test_a_publisher_without_a_readable_signature_is_held_to_the_guide() -> None:
    class Compiled:
        publish = dict  # a callable of which Python knows no signature

    assert len(EventOutlet(Compiled()).problems(AVRO)) == 2  # type: ignore[arg-type]


class Source:
    def __init__(self, events: Iterable[object] | None) -> None:
        self.domain_events = events


class HandingOutCopies:
    def __init__(self) -> None:
        self._events: list[object] = ["a"]

    @property
    def domain_events(self) -> tuple[object, ...]:
        return tuple(self._events)

    def clear_domain_events(self) -> None:
        self._events.clear()


def test_a_source_is_drained_once_however_it_keeps_its_events() -> None:
    for source in (Source(["a"]), Source(deque(["a"])), HandingOutCopies()):
        assert drain(source) == ("a",)
        assert drain(source) == ()
    assert drain(Source(("a",))) == ("a",)
    assert drain(Source(None)) == drain("a str") == drain(None) == ()


def test_events_that_are_no_collection_are_an_error() -> None:
    with pytest.raises(TypeError):
        drain(Source(3))  # type: ignore[arg-type]


def test_a_list_is_given_its_events_back() -> None:
    held: list[object] = ["a"]
    source = Source(held)
    events = drain(source)
    held.append("of a failed attempt")
    put_back(source, events)
    assert held == ["a"]
    put_back(Source(("immutable",)), ("x",))
