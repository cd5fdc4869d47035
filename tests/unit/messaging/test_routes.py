"""What would keep an event from its topic is found before the first message, all of it at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cqrs.event.decorators import publish_domain_event
from cqrs.messaging.ports import EncodedEvent
from cqrs.messaging.routes import Route, event_types_of, route_problems, routes_of


@dataclass
class Happened:
    event_type: ClassVar[str] = "t.Happened"
    order_id: str


@dataclass
class AlsoHappened(Happened):
    event_type: ClassVar[str] = "t.AlsoHappened"


class Base(Happened):
    """Inherits a name, declares none."""


@publish_domain_event("events", message_format="avro", key="order_id")
class Routed:
    pass


@publish_domain_event()
class Defaulted:
    pass


class Silent:
    pass


class Encoder:
    def __init__(self, *problems: str) -> None:
        self.found = problems
        self.asked: list[tuple[type, str]] = []

    async def encode(self, event: object, topic: str) -> EncodedEvent:
        raise AssertionError("nothing is written at start")

    def problems(self, event_type: type, topic: str) -> Sequence[str]:
        self.asked.append((event_type, topic))
        return self.found


def test_only_decorated_handlers_have_routes() -> None:
    assert routes_of([Routed, Defaulted, Silent], "cqrs.events") == (
        Route(Routed, "events", "avro", "order_id"),
        Route(Defaulted, "cqrs.events", "json", None),
    )


def test_event_classes_are_those_that_declare_a_name_themselves() -> None:
    assert event_types_of([Happened, Base, AlsoHappened, Silent]) == (AlsoHappened, Happened)


def test_a_route_that_fits_has_no_problems() -> None:
    encoder = Encoder()

    problems = route_problems(routes_of([Routed], "d"), [Happened], {"avro": encoder}, {"events": 3})

    assert problems == ()
    assert encoder.asked == [(Happened, "events")]


def test_every_problem_is_shown_once() -> None:
    routes = [
        Route(Routed, "nowhere", "avro", "order_id"),
        Route(Defaulted, "events", "xml", "customer_id"),
        Route(Silent, "events", "avro", "order_id"),
    ]

    problems = route_problems(routes, [Happened], {"avro": Encoder("t.Happened has no schema")}, {"events": 1})

    assert len(problems) == 4
    assert sum("no such topic" in problem and "'nowhere'" in problem for problem in problems) == 1
    assert sum("'xml'" in problem and "avro" in problem for problem in problems) == 1
    assert sum("'customer_id'" in problem and "Defaulted" in problem for problem in problems) == 1
    assert problems.count("t.Happened has no schema") == 1
