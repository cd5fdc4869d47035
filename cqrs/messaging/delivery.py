"""One message on its way through the service, and the shape of everything that handles it."""

from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Literal, NamedTuple

from cqrs.exceptions import CqrsException, message_of
from cqrs.messaging.envelope import Envelope
from cqrs.messaging.message import Message

OutcomeName = Literal["handled", "skipped", "dead_lettered", "retried_later"]
"""How a delivery can end."""


class Delivery(NamedTuple):
    """Hold one try at one message.

    Attributes:
        message: The record as it was read.
        envelope: What its headers say.
        attempt: How many attempts it has spent before, from 0.
        waits: How often it has waited since without spending one: something was away, or its turn had not come.
        failed_at: When its first attempt failed, in seconds of the clock that only grows; None before.
        refusal: Why it can never succeed, when that is known and only its dead letter is still to be stored.
    """

    message: Message
    envelope: Envelope
    attempt: int = 0
    waits: int = 0
    failed_at: float | None = None
    refusal: Exception | None = None


class Outcome(NamedTuple):
    """Say how a delivery was settled.

    Attributes:
        name: How, in a word.
        topic: Where the record was put, or None when it stays where it is.
        error: Why it was put there or skipped, or None.
        offset: Where its dead letter lies in its partition of that topic; None when there is none, or nobody knows.
    """

    name: OutcomeName = "handled"
    topic: str | None = None
    error: Exception | None = None
    offset: int | None = None


HANDLED = Outcome()
"""The outcome of a delivery whose command was carried out."""


class TryAgainException(CqrsException):
    """Leave a delivery unsettled: it is tried again later, and nothing of its key passes it meanwhile.

    Args:
        after: Seconds until then.
        cause: Why.
        spent: Whether the try counts as an attempt.
        waits_for: What it waits for, as an operator would call it, or None when it is the record's own turn to wait.
            When the first of those that wait for it succeeds, all are tried.
        is_outage: Whether that is away, so that reading its partition on would only bring more that wait.
        refusal: The record's fate, when it is known and only cannot be stored just now.
    """

    retryable = True

    def __init__(
        self,
        after: float,
        cause: Exception,
        *,
        spent: bool = False,
        waits_for: str | None = None,
        is_outage: bool = True,
        refusal: Exception | None = None,
    ) -> None:
        super().__init__(message_of(cause))
        self.after = after
        self.__cause__ = cause
        self.cause = cause
        self.spent = spent
        self.waits_for = waits_for
        self.is_outage = is_outage and waits_for is not None
        self.refusal = refusal


DeliveryHandler = Callable[[Delivery], Coroutine[object, None, Outcome]]
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
