"""The port of an event bus beside the commands, and one that lives in the process."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Protocol, runtime_checkable
from uuid import uuid4


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid4())


@dataclass(frozen=True)
class EventEnvelope:
    """Hold an event as it travels.

    Attributes:
        event_type: What happened.
        payload: The event's fields.
        destination: Where it was published.
        headers: The correlation headers and whatever else the publisher gave.
        event_id: Its id.
        timestamp: When it was published, in UTC.
    """

    event_type: str
    payload: Mapping[str, object]
    destination: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    event_id: str = field(default_factory=_new_id)
    timestamp: datetime = field(default_factory=_now)


EventHandler = Callable[[EventEnvelope], Awaitable[None] | None]
"""Take an event; may be sync or async."""


@runtime_checkable
class EventPublisher(Protocol):
    """Publish events to whoever subscribed."""

    async def publish(
        self,
        destination: str,
        event_type: str,
        payload: Mapping[str, object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Publish one event and return once it is accepted."""

    def subscribe(self, pattern: str, handler: EventHandler) -> None:
        """Call `handler` with every event whose type matches `pattern`; `*` stands for any characters."""


class InProcessEventPublisher:
    """Call the subscribers in the publisher's own task, in the order of their subscription."""

    def __init__(self) -> None:
        self._subscriptions: list[tuple[str, EventHandler]] = []

    def subscribe(self, pattern: str, handler: EventHandler) -> None:
        """Call `handler` with every event whose type matches `pattern`, as `fnmatch` reads it."""
        self._subscriptions.append((pattern, handler))

    async def publish(
        self,
        destination: str,
        event_type: str,
        payload: Mapping[str, object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Call every matching subscriber; one that fails does not keep the event from the others.

        Raises:
            Exception: what a subscriber raised; an ExceptionGroup when several did.
        """
        envelope = EventEnvelope(event_type, payload, destination, dict(headers or {}))
        failures: list[Exception] = []
        for pattern, handler in tuple(self._subscriptions):
            if fnmatchcase(event_type, pattern):
                await _deliver(handler, envelope, failures)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup(f"{len(failures)} subscribers failed with {event_type}", failures)


async def _deliver(handler: EventHandler, envelope: EventEnvelope, failures: list[Exception]) -> None:
    try:
        outcome = handler(envelope)
        if inspect.isawaitable(outcome):
            await outcome
    except Exception as error:  # noqa: BLE001 - the publisher raises it once everyone has the event
        failures.append(error)
