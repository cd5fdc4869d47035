"""The values an order can have; each rule answers with what is wrong, or None.

The rules take any object, because a command carries what its sender wrote.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

MAX_UNIT_PRICE = Decimal("9999999999.99")
"""The largest `decimal(12, 2)`, as the schema of an item says."""

MAX_TOTAL = Decimal("999999999999.99")
"""The largest `decimal(14, 2)`, as the schemas of the events say."""

MAX_QUANTITY = 2**31 - 1
"""The largest Avro `int`."""

MAX_NAME_LENGTH = 255
"""Characters in an order's, a customer's or an item's name, so that a database can keep an index of it."""

CENT = Decimal("0.01")

Problem = tuple[str, str]
"""A field's path, nested ones joined by dots, and what is wrong with it."""

Rule = Callable[[object], str | None]
"""Answer with what is wrong with a value, or None."""


def name_problem(value: object) -> str | None:
    """Check the name of an order, a customer or an item."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not value.strip():
        return "must not be empty"
    if len(value) > MAX_NAME_LENGTH:
        return f"must have at most {MAX_NAME_LENGTH} characters, has {len(value)}"
    return None if value.isprintable() else "must have printable characters only"


def text_problem(value: object) -> str | None:
    """Check free text: it may be empty, and must be text that every database and every reader can keep."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return "must not have null characters or halves of surrogate pairs"
    return None


def currency_problem(value: object) -> str | None:
    """Check a currency: three letters as in ISO 4217, whether or not the code is in use."""
    if isinstance(value, str) and len(value) == 3 and all("A" <= letter <= "Z" for letter in value):
        return None
    return "must be three capital letters A-Z, such as EUR"


def quantity_problem(value: object) -> str | None:
    """Check how many pieces of an item are ordered."""
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be a whole number, not {type(value).__name__}"
    if value <= 0:
        return "must be greater than 0"
    return None if value <= MAX_QUANTITY else f"must be at most {MAX_QUANTITY}"


def unit_price_problem(value: object) -> str | None:
    """Check the price of one piece: an exact amount with at most two decimals."""
    if not isinstance(value, Decimal):
        return f"must be a Decimal, not {type(value).__name__}"
    if not value.is_finite():
        return "must be a number"
    if value < 0:
        return "must be 0 or more"
    if value > MAX_UNIT_PRICE:
        return f"must be at most {MAX_UNIT_PRICE}"
    return None if value == value.quantize(CENT) else "must have at most two decimals"


_ITEM_RULES: tuple[tuple[str, Rule], ...] = (
    ("sku", name_problem),
    ("quantity", quantity_problem),
    ("unit_price", unit_price_problem),
)


def order_id_problems(order_id: object) -> list[Problem]:
    """List what is wrong with an order's id."""
    return _field_problems(("order_id", name_problem, order_id))


def customer_id_problems(customer_id: object) -> list[Problem]:
    """List what is wrong with a customer's id."""
    return _field_problems(("customer_id", name_problem, customer_id))


def reason_problems(reason: object) -> list[Problem]:
    """List what is wrong with the reason of a cancellation."""
    return _field_problems(("reason", text_problem, reason))


def item_problems(path: str, item: object) -> list[Problem]:
    """List what is wrong with one item; paths begin with `path`."""
    return _field_problems(*((f"{path}.{field}", rule, getattr(item, field, None)) for field, rule in _ITEM_RULES))


def new_order_problems(
    order_id: object, customer_id: object, items: Sequence[object], currency: object
) -> list[Problem]:
    """List what is wrong with the values of a new order."""
    return [
        *order_id_problems(order_id),
        *customer_id_problems(customer_id),
        *([] if items else [("items", "must not be empty")]),
        *(problem for index, item in enumerate(items) for problem in item_problems(f"items.{index}", item)),
        *_field_problems(("currency", currency_problem, currency)),
    ]


def _field_problems(*fields: tuple[str, Rule, object]) -> list[Problem]:
    found = ((path, rule(value)) for path, rule, value in fields)
    return [(path, problem) for path, problem in found if problem is not None]
