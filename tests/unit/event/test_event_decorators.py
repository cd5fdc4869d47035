"""Where the events of a handler go, as its decorator says."""

import pytest

from cqrs.event.decorators import EventRoute, event_route, publish_domain_event


@publish_domain_event(destination="orders.events", message_format="avro", key="order_id")
class Routed:
    pass


class Below(Routed):
    pass


@publish_domain_event()
class Default:
    pass


class ByHand:
    __pyfly_event_destination__ = "by.hand"


def test_the_route_is_read_from_class_and_instance_and_inherited() -> None:
    route = EventRoute("orders.events", "avro", "order_id")
    assert event_route(Routed) == event_route(Routed()) == event_route(Below) == route


def test_the_guides_attributes_are_set() -> None:
    assert vars(Routed)["__pyfly_publish_event__"] is True
    assert vars(Routed)["__pyfly_event_destination__"] == "orders.events"
    assert vars(Default)["__pyfly_event_destination__"] is None


def test_without_a_decorator_the_defaults_hold_and_a_destination_set_by_hand() -> None:
    assert event_route(object()) == event_route(Default) == EventRoute(None, "json", None)
    assert event_route(ByHand) == EventRoute("by.hand")


def test_it_is_used_with_parentheses() -> None:
    with pytest.raises(TypeError, match=r"with parentheses on .*Bare"):

        @publish_domain_event  # type: ignore[arg-type]
        class Bare:
            pass
