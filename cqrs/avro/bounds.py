"""How large a value a schema can stand for: checked once per schema, so that no value of it can kill the process.

A reader in C follows a recursive schema down until the stack ends, and counts to 2**62 over items that take no bytes.
Both are properties of the schema, so a schema that allows them is refused before the first byte is read.
"""

from dataclasses import dataclass

from cqrs.avro.model import Node

MAX_DEPTH = 64
MAX_VALUES = 10_000
MAX_VALUES_PER_BYTE = 64


@dataclass(frozen=True, slots=True)
class Extent:
    """Measure one type.

    Attributes:
        depth: How many types lie within each other.
        width: The fewest bytes that a value takes.
        values: How many values one value can hold, each array and map counted once.
    """

    depth: int
    width: int
    values: int


def check_bounds(root: Node) -> Extent:
    """Return the extent of a schema.

    Raises:
        ValueError: it is recursive, nested too deeply, or a few bytes of it can stand for very many values.
    """
    return _Ruler().measure(root)


_WIDTHS = {"null": 0, "float": 4, "double": 8}


class _Ruler:
    def __init__(self) -> None:
        self._open: set[int] = set()
        self._known: dict[int, Extent] = {}

    def measure(self, node: Node) -> Extent:
        key = id(node)
        if key in self._known:
            return self._known[key]
        if key in self._open:
            raise ValueError(f"{node.label} is recursive; give it a bounded depth, for example by a list of parents")
        if len(self._open) >= MAX_DEPTH:
            raise ValueError(f"its types are nested deeper than {MAX_DEPTH} levels")
        self._open.add(key)
        extent = self._known[key] = _bounded(node, self._extent(node))
        self._open.discard(key)
        return extent

    def _extent(self, node: Node) -> Extent:
        if node.kind == "record":
            return _side_by_side([self.measure(field.node) for field in node.fields])
        if node.kind == "union":
            return _one_of([self.measure(branch) for branch in node.branches])
        if node.items is not None:
            return _repeated(node, self.measure(node.items))
        return Extent(1, node.size if node.kind == "fixed" else _WIDTHS.get(node.kind, 1), 1)


def _bounded(node: Node, extent: Extent) -> Extent:
    if extent.values > MAX_VALUES or extent.depth > MAX_DEPTH:
        raise ValueError(
            f"{node.label} holds {extent.values} values on {extent.depth} levels; "
            f"{MAX_VALUES} on {MAX_DEPTH} are allowed"
        )
    return extent


def _side_by_side(parts: list[Extent]) -> Extent:
    depth = 1 + max((part.depth for part in parts), default=0)
    return Extent(depth, sum(part.width for part in parts), 1 + sum(part.values for part in parts))


def _one_of(parts: list[Extent]) -> Extent:
    depth = 1 + max((part.depth for part in parts), default=0)
    width = 1 + min((part.width for part in parts), default=0)
    return Extent(depth, width, 1 + max((part.values for part in parts), default=0))


def _repeated(node: Node, item: Extent) -> Extent:
    width = item.width + (node.kind == "map")
    if width == 0:
        raise ValueError(
            f"the items of an {node.kind} take no bytes, so a few bytes can stand for billions of them; "
            "give them a field that takes some"
        )
    if item.values > MAX_VALUES_PER_BYTE * width:
        raise ValueError(f"each item of an {node.kind} takes {width} bytes and holds {item.values} values: too many")
    return Extent(item.depth + 1, 1, item.values + 1)
