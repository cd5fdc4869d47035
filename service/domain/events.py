"""What happens to an order, in words of the past; the schemas in `schemas/events/` carry the same names."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from service.domain.item import OrderItem


@dataclass(frozen=True, slots=True)
class OrderCreated:
    """An order was placed. It is the first event of its order, so its `version` is 1."""

    event_type: ClassVar[str] = "orders.OrderCreated"

    order_id: str
    customer_id: str
    items: tuple[OrderItem, ...]
    currency: str
    total: Decimal
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An item joined the order; `total` is the order's new sum."""

    event_type: ClassVar[str] = "orders.ItemAdded"

    order_id: str
    item: OrderItem
    total: Decimal
    version: int
    added_at: datetime


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The order was cancelled; no event of it follows."""

    event_type: ClassVar[str] = "orders.OrderCancelled"

    order_id: str
    reason: str
    version: int
    cancelled_at: datetime
