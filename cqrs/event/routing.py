"""From a finished handler to the publisher: which events there are, in which order, and what is said of each."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import cast

from cqrs.event.decorators import EventRoute
from cqrs.event.origin import EventOrigin
from cqrs.event.publisher import CommandEventPublisher

_logger = logging.getLogger(__name__)
_PLAIN = EventRoute()


Publication = Callable[[object, EventOrigin], Awaitable[None]]
"""Publish one event of a command, and return once it is accepted."""


class EventOutlet:
    """Give a publisher each event with those keywords that its signature names, decided once.

    A publisher of the guide takes `destination` alone. One that takes `**keywords` is given, beside it, what the
    handler's `@publish_domain_event` says beyond the defaults.

    Args:
        publisher: Where events go.
    """

    def __init__(self, publisher: CommandEventPublisher) -> None:
        self._publish = cast("Callable[..., Awaitable[None]]", publisher.publish)
        parameters = _parameters(self._publish)
        self._named = frozenset(parameters)
        self._takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
        self._name = type(publisher).__name__

    def problems(self, route: EventRoute) -> list[str]:
        """Say what of `route` this publisher cannot be told, a sentence each."""
        asked = {"message_format": route.message_format != _PLAIN.message_format, "key": route.key is not None}
        return [
            f"{self._name}.publish takes no {name}: @publish_domain_event({name}={getattr(route, name)!r}) is not told"
            for name, wanted in asked.items()
            if wanted and not self._takes_any and name not in self._named
        ]

    def to(self, route: EventRoute) -> Publication:
        """Return what publishes the events of one route; the keywords are worked out here, once."""
        publish = self._publish
        told = {name: value for name, value in self._keywords(route).items() if name in self._told(route)}
        if "origin" not in self._named:
            return lambda event, origin: publish(event, **told)
        publish_there = partial(publish, **told)
        return lambda event, origin: publish_there(event, origin=origin)

    def _told(self, route: EventRoute) -> frozenset[str]:
        if not self._takes_any:
            return self._named
        plain = {"message_format"} if route.message_format == _PLAIN.message_format else set[str]()
        plain |= {"key"} if route.key is None else set[str]()
        return self._named | ({"destination", "message_format", "key"} - plain)

    @staticmethod
    def _keywords(route: EventRoute) -> dict[str, object]:
        return {"destination": route.destination, "message_format": route.message_format, "key": route.key}


def drain(source: object) -> Sequence[object]:
    """Take the events out of `source.domain_events`, so that they are published once.

    A list is emptied; a source that hands out copies is asked to `clear_domain_events()` when it can.
    """
    held = getattr(source, "domain_events", None)
    if held is None:
        return ()
    events = tuple(cast("Iterable[object]", held))
    clear = getattr(source, "clear_domain_events", None) or getattr(held, "clear", None)
    if callable(clear):
        clear()
    return events


def put_back(source: object, events: Sequence[object]) -> None:
    """Make the list `source.domain_events` what it was before a failed attempt added to it or it was drained."""
    held = getattr(source, "domain_events", None)
    if isinstance(held, list):
        held[:] = events


def _parameters(publish: Callable[..., object]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(publish).parameters)
    except ValueError:  # compiled without a signature: the guide's protocol is what it promises
        return {"destination": inspect.Parameter("destination", inspect.Parameter.KEYWORD_ONLY)}
