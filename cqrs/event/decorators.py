"""Say where the events of a command handler go, and in which format."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

H = TypeVar("H")

_ROUTE = "__cqrs_event_route__"
_DESTINATION = "__pyfly_event_destination__"


@dataclass(frozen=True, slots=True)
class EventRoute:
    """Say where events go.

    Attributes:
        destination: The topic or queue; None takes the publisher's default.
        message_format: "json" or "avro".
        key: The event's field that is the partition key; None leaves it to the publisher.
    """

    destination: str | None = None
    message_format: str = "json"
    key: str | None = None


def publish_domain_event(
    destination: str | None = None, message_format: str = "json", *, key: str | None = None
) -> Callable[[type[H]], type[H]]:
    """Route the events of a command handler class.

    Args:
        destination: The topic or queue; None takes the publisher's default (`cqrs.events`).
        message_format: How they are written: "json" or "avro".
        key: The event's field that is the partition key; None leaves it to the publisher.

    Raises:
        TypeError: it is used bare, without parentheses.
    """
    if isinstance(destination, type):
        raise TypeError(f"write @publish_domain_event() with parentheses on {destination.__qualname__}")

    def mark(cls: type[H]) -> type[H]:
        setattr(cls, "__pyfly_publish_event__", True)  # noqa: B010 - a guide's name, not an attribute of H
        setattr(cls, _DESTINATION, destination)
        setattr(cls, _ROUTE, EventRoute(destination, message_format, key))
        return cls

    return mark


def event_route(handler: object) -> EventRoute:
    """Return where the events of a handler or handler class go; an inherited route holds."""
    route: EventRoute | None = getattr(handler, _ROUTE, None)
    return route or EventRoute(destination=getattr(handler, _DESTINATION, None))
