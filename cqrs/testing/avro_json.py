"""Read JSON as the values of an Avro schema: text becomes decimals, times, dates, UUIDs and bytes where it must.

What fits nothing is left as it is, for the Avro writer to refuse with its own words.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from cqrs.avro.model import Node


def from_json(node: Node, value: object) -> object:
    """Return `value` as an Avro writer takes it for the type `node`."""
    if node.kind == "record" and isinstance(value, Mapping):
        types = {field.name: field.node for field in node.fields}
        return {name: from_json(types[name], item) if name in types else item for name, item in value.items()}
    if node.kind == "map" and node.items is not None and isinstance(value, Mapping):
        return {name: from_json(node.items, item) for name, item in value.items()}
    if node.kind == "array" and node.items is not None and isinstance(value, list | tuple):
        return [from_json(node.items, item) for item in value]
    if node.kind == "union":
        return _of_union(node, value)
    return _scalar(node, value)


def _of_union(node: Node, value: object) -> object:
    """Take the first branch that makes something else of the value: text that is a time is meant as one."""
    read = (from_json(branch, value) for branch in node.branches if value is not None)
    return next((found for found in read if found != value), value)


def _scalar(node: Node, value: object) -> object:
    reader = _READERS.get(node.logical or node.kind)
    if reader is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    try:
        return reader(str(value))
    except (ValueError, InvalidOperation):
        return value


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[str], object]] = {
    "decimal": Decimal,
    "timestamp-millis": _moment,
    "timestamp-micros": _moment,
    "date": date.fromisoformat,
    "uuid": UUID,
    "bytes": str.encode,
}
