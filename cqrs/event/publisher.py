"""Where a command bus publishes events: the port, one that publishes nothing, and one on an event bus."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Protocol, runtime_checkable

from pydantic import BaseModel

from cqrs.event.eda import EventPublisher
from cqrs.exceptions import UnpublishableEventException
from cqrs.fingerprint import state_of
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import message_name

DEFAULT_DESTINATION = "cqrs.events"


@runtime_checkable
class CommandEventPublisher(Protocol):
    """Publish the domain events of commands.

    A publisher whose `publish` also names `message_format`, `key` (the event's field that is the partition key) or
    `origin` (an `EventOrigin`) is given them; see `cqrs.event.routing`.
    """

    async def publish(self, event: object, *, destination: str | None = None) -> None:
        """Publish `event` and return once it is accepted.

        Args:
            event: The event.
            destination: The topic or queue; None takes the publisher's default.
        """


class NoOpEventPublisher:
    """Publish nothing."""

    async def publish(self, event: object, *, destination: str | None = None) -> None:
        """Drop `event`."""


class EdaCommandEventPublisher:
    """Publish on an event bus, with the correlation headers of the running command.

    Args:
        producer: The event bus.
        default_destination: Where events go whose handler names no destination.
    """

    def __init__(self, producer: EventPublisher, default_destination: str = DEFAULT_DESTINATION) -> None:
        self._producer = producer
        self._default_destination = default_destination

    async def publish(self, event: object, *, destination: str | None = None) -> None:
        """Publish `event` under its `event_type`, else the name its class declares, else its class's name.

        Raises:
            UnpublishableEventException: it has no fields that could be read.
        """
        await self._producer.publish(
            destination or self._default_destination,
            _event_type(event),
            event_payload(event),
            headers=CorrelationContext.create_context_headers(),
        )


def event_payload(event: object) -> dict[str, object]:
    """Return the fields of an event: dataclass, pydantic model, mapping or plain object.

    Raises:
        UnpublishableEventException: it has no fields that could be read.
    """
    if is_dataclass(event) and not isinstance(event, type):
        return asdict(event)
    if isinstance(event, BaseModel):
        return event.model_dump()
    if isinstance(event, Mapping):
        return {str(name): value for name, value in event.items()}
    if hasattr(event, "__dict__") or hasattr(event, "__slots__"):
        return state_of(event)
    raise UnpublishableEventException(
        f"{event!r} is a {type(event).__qualname__} and has no fields; publish a dataclass or a dict"
    )


def _event_type(event: object) -> str:
    declared = getattr(event, "event_type", None)
    if declared is None and isinstance(event, Mapping):
        declared = event.get("event_type")
    return declared if isinstance(declared, str) and declared else message_name(type(event))
