"""The order: every change makes exactly one event, and counts one version up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from service.domain.errors import (
    InvalidOrderException,
    NotOrderOwnerException,
    OrderAlreadyCancelledException,
    OrderTotalTooLargeException,
)
from service.domain.events import ItemAdded, OrderCancelled, OrderCreated
from service.domain.item import OrderItem
from service.domain.rules import CENT, MAX_TOTAL, Problem, item_problems, new_order_problems, reason_problems

ADMINISTRATOR = "admin"
"""Who may cancel every order."""


@dataclass(frozen=True, slots=True)
class Order:
    """Be an order as it stands; a change answers with the order it becomes and the event that says so.

    Attributes:
        order_id: Chosen by who creates it; unique.
        customer_id: Whose order it is.
        currency: Of every price in it.
        items: In the order they were added; never empty.
        version: The number of its events; the last event carries the same number.
        created_at: In UTC, with milliseconds, as events carry it.
        cancelled_at: In UTC, or None while the order stands.
        cancel_reason: What was said, or None while the order stands.
    """

    order_id: str
    customer_id: str
    currency: str
    items: tuple[OrderItem, ...]
    version: int
    created_at: datetime
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None

    @classmethod
    def create(
        cls, order_id: str, customer_id: str, items: Sequence[OrderItem], currency: str, at: datetime
    ) -> tuple["Order", OrderCreated]:
        """Place an order.

        Raises:
            InvalidOrderException: a value that no order can have; all of them are named.
            OrderTotalTooLargeException: the sum does not fit 14 digits.
        """
        _refuse(new_order_problems(order_id, customer_id, items, currency))
        moment = _in_milliseconds(at)
        order = cls(order_id, customer_id, currency, tuple(item.in_cents() for item in items), 1, moment)
        return order, OrderCreated(
            order_id, customer_id, order.items, currency, _checked_total(order), order.version, moment
        )

    @property
    def total(self) -> Decimal:
        """Return the exact sum of the items."""
        return sum((item.total for item in self.items), Decimal(0)).quantize(CENT)

    @property
    def is_cancelled(self) -> bool:
        """Say whether the order was cancelled."""
        return self.cancelled_at is not None

    def add(self, item: OrderItem, at: datetime) -> tuple["Order", ItemAdded]:
        """Add one item.

        Raises:
            InvalidOrderException: the item has a value that none can have.
            OrderAlreadyCancelledException: the order takes no change.
            OrderTotalTooLargeException: the sum would not fit 14 digits.
        """
        _refuse(item_problems("item", item))
        self._refuse_when_cancelled()
        added = item.in_cents()
        order = replace(self, items=(*self.items, added), version=self.version + 1)
        return order, ItemAdded(self.order_id, added, _checked_total(order), order.version, _in_milliseconds(at))

    def cancel(self, requested_by: str, reason: str, at: datetime) -> tuple["Order", OrderCancelled]:
        """Cancel the order, for its customer or for the administrator.

        Raises:
            InvalidOrderException: the reason is not text that can be kept.
            NotOrderOwnerException: somebody else asks; nothing of the order's state is told.
            OrderAlreadyCancelledException: it is cancelled.
        """
        _refuse(reason_problems(reason))
        if requested_by not in {self.customer_id, ADMINISTRATOR}:
            raise NotOrderOwnerException(self.order_id, requested_by)
        self._refuse_when_cancelled()
        moment = _in_milliseconds(at)
        order = replace(self, version=self.version + 1, cancelled_at=moment, cancel_reason=reason)
        return order, OrderCancelled(self.order_id, reason, order.version, moment)

    def _refuse_when_cancelled(self) -> None:
        if self.is_cancelled:
            raise OrderAlreadyCancelledException(self.order_id)


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise InvalidOrderException(problems)


def _checked_total(order: Order) -> Decimal:
    total = sum((item.total for item in order.items), Decimal(0))
    if total > MAX_TOTAL:
        raise OrderTotalTooLargeException(order.order_id, MAX_TOTAL)
    return order.total


def _in_milliseconds(at: datetime) -> datetime:
    """Keep what an event's `timestamp-millis` can say, so that state and event agree.

    Raises:
        ValueError: the datetime has no timezone.
    """
    if at.utcoffset() is None:
        raise ValueError(f"{at!r} has no timezone, so it does not name a point in time; use datetime.now(UTC).")
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)
