"""What a query tells about an order."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from service.domain.item import OrderItem
from service.domain.order import Order

OrderStatus = Literal["open", "cancelled"]
"""Whether an order takes changes."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """Show an order as it stands.

    Attributes:
        order_id: Its id.
        customer_id: Whose it is.
        currency: Of every amount.
        items: In the order they were added.
        total: The exact sum.
        status: `open` or `cancelled`.
        version: The version of its last event.
        created_at: In UTC.
        cancelled_at: In UTC, or None while it stands.
        cancel_reason: In the words of who cancelled it, or None while it stands.
    """

    order_id: str
    customer_id: str
    currency: str
    items: tuple[OrderItem, ...]
    total: Decimal
    status: OrderStatus
    version: int
    created_at: datetime
    cancelled_at: datetime | None
    cancel_reason: str | None


def view_key(order_id: str) -> str:
    """Return the key under which the view of an order is cached."""
    return f"order:{order_id}"


def view_of(order: Order) -> OrderView:
    """Show `order`."""
    return OrderView(
        order_id=order.order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        items=order.items,
        total=order.total,
        status="cancelled" if order.is_cancelled else "open",
        version=order.version,
        created_at=order.created_at,
        cancelled_at=order.cancelled_at,
        cancel_reason=order.cancel_reason,
    )
