"""The commands that `python -m service demo` sends: every kind, and everything that can be wrong with one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.cli.demo_commands import (
    DemoCommand,
    Expected,
    avro_command,
    bare_json_command,
    cut_avro_command,
    json_command,
    raw_command,
)
from cqrs.exceptions import UndecodableMessageException, UnknownMessageTypeException
from cqrs.messaging import envelope
from cqrs.validation.exceptions import CqrsValidationException
from service.domain.errors import OrderAlreadyCancelledException, OrderExistsException

CREATE = "orders.CreateOrder"
ADD = "orders.AddItem"
CANCEL = "orders.CancelOrder"

_CREATED = Expected(event="orders.OrderCreated")
_ADDED = Expected(event="orders.ItemAdded")
_CANCELLED = Expected(event="orders.OrderCancelled")
_INVALID = Expected(refusal=CqrsValidationException)
_DENIED = Expected(refusal=AuthorizationException)
_TAKEN = Expected(refusal=OrderExistsException)
_OVER = Expected(refusal=OrderAlreadyCancelledException)
_UNKNOWN = Expected(refusal=UnknownMessageTypeException)
_UNDECODABLE = Expected(refusal=UndecodableMessageException)

_JSON_HEADERS = ((envelope.TYPE, CREATE.encode()), (envelope.CONTENT_TYPE, b"application/json"))


def demo_commands(schemas: Path) -> Sequence[DemoCommand]:
    """Return the demo's commands in the order in which they are sent.

    Args:
        schemas: The folder of the `.avsc` files.
    """
    return (*_handled(schemas / "commands"), *_refused(schemas / "commands"))


def _handled(schemas: Path) -> Sequence[DemoCommand]:
    create, add, cancel = (schemas / f"{name}.avsc" for name in (CREATE, ADD, CANCEL))
    return (
        json_command("two items", CREATE, "o-1", _order("o-1", "ada", _item("A", 2, "9.99"), _item("B", 1)), _CREATED),
        avro_command("one item", CREATE, "o-2", _order("o-2", "bob", _item("C", 5, "0.45")), create, _CREATED),
        bare_json_command("in dollars", CREATE, "o-3", _order("o-3", "eve", _item("A", 1), currency="USD"), _CREATED),
        json_command("third item", ADD, "o-1", {"order_id": "o-1", "item": _item("D", 3, "7.50")}, _ADDED),
        avro_command("second item", ADD, "o-2", {"order_id": "o-2", "item": _item("E", 1, "19.90")}, add, _ADDED),
        json_command("by customer", CANCEL, "o-1", _cancel("o-1", "ada", "changed my mind"), _CANCELLED),
        avro_command("by admin", CANCEL, "o-3", _cancel("o-3", "admin", "suspicious"), cancel, _CANCELLED),
    )


def _refused(schemas: Path) -> Sequence[DemoCommand]:
    create = schemas / f"{CREATE}.avsc"
    bad_order = _order("o-4", "ada", _item("A", 0), _item("B", 1, "-1.00"), currency="euro")
    taken = _order("o-2", "bob", _item("C", 1))
    late = {"order_id": "o-1", "item": _item("F", 1)}
    return (
        json_command("three faults", CREATE, "o-4", bad_order, _INVALID),
        json_command("by a stranger", CANCEL, "o-2", _cancel("o-2", "mallory", "-"), _DENIED),
        avro_command("id is taken", CREATE, "o-2", taken, create, _TAKEN),
        json_command("is cancelled", ADD, "o-1", late, _OVER),
        json_command("unknown type", "orders.ShipOrder", "o-2", {"order_id": "o-2"}, _UNKNOWN),
        raw_command("broken JSON", CREATE, "JSON", "o-5", b'{"order_id": "o-5", ', _JSON_HEADERS, _UNDECODABLE),
        cut_avro_command("cut in half", CREATE, "o-6", _order("o-6", "ada", _item("A", 1)), create, _UNDECODABLE),
    )


def _order(order_id: str, customer_id: str, *items: Mapping[str, object], currency: str = "EUR") -> dict[str, object]:
    return {"order_id": order_id, "customer_id": customer_id, "items": items, "currency": currency}


def _item(sku: str, quantity: int, unit_price: str = "120.00") -> Mapping[str, object]:
    return {"sku": sku, "quantity": quantity, "unit_price": unit_price}


def _cancel(order_id: str, requested_by: str, reason: str) -> Mapping[str, object]:
    return {"order_id": order_id, "requested_by": requested_by, "reason": reason}
