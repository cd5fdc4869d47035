"""What an order is and what becomes of a command, in the fewest words: nothing of the service's own code is used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, NamedTuple

Kind = Literal["orders.CreateOrder", "orders.AddItem", "orders.CancelOrder"]

INVALID = "CqrsValidationException"
DENIED = "AuthorizationException"
TAKEN = "OrderExistsException"
MISSING = "OrderNotFoundException"
OVER = "OrderAlreadyCancelledException"


class Line(NamedTuple):
    """Be so many of one article at one price."""

    sku: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Command:
    """Ask for one thing.

    Attributes:
        id: Its message id.
        order: The order's id, and the record's key.
        kind: What is asked for.
        lines: What is ordered or added.
        who: Who orders, or who wants it cancelled.
        reason: Why it is cancelled; its own for each command.
    """

    id: str
    order: str
    kind: Kind
    lines: tuple[Line, ...] = ()
    who: str = ""
    reason: str = ""

    def data(self) -> Mapping[str, object]:
        """Return the command as the service reads it."""
        items = [
            {"sku": each.sku, "quantity": each.quantity, "unit_price": str(each.unit_price)} for each in self.lines
        ]
        if self.kind == "orders.CreateOrder":
            return {"order_id": self.order, "customer_id": self.who, "items": items, "currency": "EUR"}
        if self.kind == "orders.AddItem":
            return {"order_id": self.order, "item": items[0]}
        return {"order_id": self.order, "requested_by": self.who, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Order:
    """Be an order as it should stand; `cancelled` is the reason, or None."""

    customer: str
    lines: tuple[Line, ...]
    version: int = 1
    cancelled: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Be what should be published: the order's new version, total, and what the command brought."""

    kind: str
    version: int
    total: Decimal | None = None
    lines: tuple[Line, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Be why a command should be refused: the class of its exception."""

    why: str


def carry_out(order: Order | None, command: Command) -> tuple[Order | None, Event | Refusal]:
    """Return what an order becomes by a command, and what the service should say."""
    if command.kind == "orders.CreateOrder":
        return _create(order, command)
    if command.kind == "orders.AddItem":
        return _add(order, command)
    return _cancel(order, command)


def _create(order: Order | None, command: Command) -> tuple[Order | None, Event | Refusal]:
    if not all(map(_is_valid, command.lines)):
        return order, Refusal(INVALID)
    if order is not None:
        return order, Refusal(TAKEN)
    order = Order(command.who, command.lines)
    return order, Event("orders.OrderCreated", 1, _total(order), command.lines)


def _add(order: Order | None, command: Command) -> tuple[Order | None, Event | Refusal]:
    if not all(map(_is_valid, command.lines)):
        return order, Refusal(INVALID)
    if order is None:
        return order, Refusal(MISSING)
    if order.cancelled is not None:
        return order, Refusal(OVER)
    order = replace(order, lines=order.lines + command.lines, version=order.version + 1)
    return order, Event("orders.ItemAdded", order.version, _total(order), command.lines)


def _cancel(order: Order | None, command: Command) -> tuple[Order | None, Event | Refusal]:
    if order is None:
        return order, Refusal(MISSING)
    if command.who not in (order.customer, "admin"):
        return order, Refusal(DENIED)
    if order.cancelled is not None:
        return order, Refusal(OVER)
    order = replace(order, version=order.version + 1, cancelled=command.reason)
    return order, Event("orders.OrderCancelled", order.version, reason=command.reason)


def _is_valid(line: Line) -> bool:
    return line.quantity > 0 and line.unit_price >= 0


def _total(order: Order) -> Decimal:
    return sum((each.quantity * each.unit_price for each in order.lines), Decimal(0))
