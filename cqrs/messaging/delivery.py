"""One message on its way through the service, and the shape of everything that handles it."""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from cqrs.messaging.envelope import Envelope
from cqrs.messaging.message import Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold one try at one message.

    Attributes:
        message: The record as it was read.
        envelope: What its headers say.
        attempt: How often it was tried before, from 0.
    """

    message: Message
    envelope: Envelope
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say how a delivery was settled.

    Attributes:
        dead_letter_topic: Where the record was put aside, or None when it was handled.
        error: Why it was put aside, or None.
    """

    dead_letter_topic: str | None = None
    error: Exception | None = None

    @property
    def name(self) -> str:
        """Return `handled` or `dead_lettered`."""
        return "handled" if self.error is None else "dead_lettered"


HANDLED = Outcome()
"""The outcome of a delivery whose command was carried out."""

DeliveryHandler = Callable[[Delivery], Awaitable[Outcome]]
"""Settle one delivery: to return is to say that its outcome is durable; to raise, that it must be tried again."""

Middleware = Callable[[DeliveryHandler], DeliveryHandler]
"""Wrap a handler in another of the same shape."""

current_delivery: ContextVar[Delivery | None] = ContextVar("current_delivery", default=None)
"""The delivery whose command is being handled, for what is published on its behalf."""


def fold(middleware: Sequence[Middleware], handler: DeliveryHandler) -> DeliveryHandler:
    """Wrap `handler` in `middleware`, the first one outermost."""
    for wrap in reversed(middleware):
        handler = wrap(handler)
    return handler
