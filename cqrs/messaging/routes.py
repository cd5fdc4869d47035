"""Where each handler's events go, and what would keep them from getting there: checked before the first message."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cqrs.event.decorators import event_route
from cqrs.messaging.ports import EventEncoder
from cqrs.types import declared_name


@dataclass(frozen=True, slots=True)
class Route:
    """Say where the events of one handler go.

    Attributes:
        handler: The handler's class.
        topic: The topic.
        message_format: The encoder's name.
        key: The event's field that is the partition key, or None.
    """

    handler: type
    topic: str
    message_format: str
    key: str | None


def routes_of(handlers: Iterable[type], default_topic: str) -> tuple[Route, ...]:
    """Return the routes that `@publish_domain_event` declares on `handlers`."""
    declared = [(handler, event_route(handler)) for handler in handlers if _publishes(handler)]
    return tuple(
        Route(handler, route.destination or default_topic, route.message_format, route.key)
        for handler, route in declared
    )


def _publishes(handler: type) -> bool:
    return getattr(handler, "__pyfly_publish_event__", False) is True


def route_problems(
    routes: Sequence[Route],
    event_types: Sequence[type],
    encoders: Mapping[str, EventEncoder],
    topics: Mapping[str, int],
) -> tuple[str, ...]:
    """Return everything that would keep events from being published, a sentence each, without repetition.

    Args:
        routes: The routes of every handler.
        event_types: Every event class of the service.
        encoders: The encoder of each message format.
        topics: The topics that exist, with their partition counts.
    """
    problems = [problem for route in routes for problem in _problems_of(route, encoders, topics)]
    ways = {(route.message_format, route.topic) for route in routes if route.message_format in encoders}
    for event_type in event_types:
        for message_format, topic in sorted(ways):
            problems.extend(encoders[message_format].problems(event_type, topic))
    return tuple(dict.fromkeys(problems + list(_key_problems(routes, event_types))))


def _problems_of(route: Route, encoders: Mapping[str, EventEncoder], topics: Mapping[str, int]) -> Iterator[str]:
    name = route.handler.__qualname__
    if route.message_format not in encoders:
        known = ", ".join(sorted(encoders))
        yield f"{name} publishes in the format {route.message_format!r}, which has no encoder; use one of {known}"
    if route.topic not in topics:
        yield (
            f"{name} publishes to {route.topic!r}, and there is no such topic; "
            f"create it, or correct the destination of @publish_domain_event"
        )


def _key_problems(routes: Sequence[Route], event_types: Sequence[type]) -> Iterator[str]:
    """Name the keys that no event has; an event that lacks the key of another handler's route is not wrong."""
    fields = {field for event_type in event_types for field in _fields(event_type)}
    for route in routes:
        if route.key is not None and event_types and route.key not in fields:
            yield f"{route.handler.__qualname__} takes {route.key!r} as its events' key, and no event has such a field"


def _fields(event_type: type) -> set[str]:
    return {name for each in event_type.__mro__ for name in (*inspect.get_annotations(each), *vars(each))}


def event_types_of(candidates: Iterable[type]) -> tuple[type, ...]:
    """Return those of `candidates` that declare an event's name, sorted by it."""
    named = {declared_name(each) or "": each for each in candidates if isinstance(vars(each).get("event_type"), str)}
    return tuple(named[name] for name in sorted(named))
