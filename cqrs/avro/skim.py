"""Walk over a value's bytes before fastavro reads it, where fastavro is lenient about them.

It takes a branch or a symbol number below zero from the end of the list, any byte for a bool, and the last of two equal
keys of a map. A schema without unions, enums, booleans and maps has none of these, and is not skimmed.
Source: Apache Avro 1.11 specification, "Binary Encoding".
"""

from collections.abc import Callable, Mapping, Sequence

from cqrs.avro.model import Node

Skim = Callable[[bytes], None]
"""Walk over one value, and raise ValueError or EOFError where its bytes are not what the schema says."""

_Step = Callable[[bytes, int], int]

_LENIENT = frozenset({"union", "enum", "boolean", "map"})


def skimmer(root: Node) -> Skim | None:
    """Compile the walk over a schema's values, or None when fastavro needs none; the schema must be bounded."""
    compiler = _Compiler()
    step = compiler.step(root)
    if not compiler.found_lenient:
        return None

    def skim(body: bytes) -> None:
        step(body, 0)

    return skim


class _Compiler:
    """Compile each type once, however often it is named."""

    def __init__(self) -> None:
        self.found_lenient = False
        self._known: dict[int, _Step] = {}

    def step(self, node: Node) -> _Step:
        self.found_lenient = self.found_lenient or node.kind in _LENIENT
        if node.kind in _WALKS:
            return _WALKS[node.kind]
        known = self._known.get(id(node))
        if known is None:
            inner = [*(field.node for field in node.fields), *node.branches]
            inner += [node.items] if node.items is not None else []
            known = self._known[id(node)] = _COMPILED[node.kind](node, [self.step(each) for each in inner])
        return known


def _integer(body: bytes, at: int) -> tuple[int, int]:
    """Return a zig-zag varint and the place behind it."""
    shift = total = 0
    while True:
        if at >= len(body):
            raise EOFError
        byte = body[at]
        at += 1
        total |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (total >> 1) ^ -(total & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("an integer has more than 64 bits")


def _past_integer(body: bytes, at: int) -> int:
    return _integer(body, at)[1]


def _past(count: int) -> _Step:
    def step(body: bytes, at: int) -> int:
        if at + count > len(body):
            raise EOFError
        return at + count

    return step


def _past_bytes(body: bytes, at: int) -> int:
    length, at = _integer(body, at)
    if length < 0:
        raise ValueError("a length is below zero")
    if at + length > len(body):
        raise EOFError
    return at + length


def _past_boolean(body: bytes, at: int) -> int:
    if at >= len(body):
        raise EOFError
    if body[at] > 1:
        raise ValueError(f"a boolean is the byte {body[at]}, neither 0 nor 1")
    return at + 1


def _record(node: Node, steps: Sequence[_Step]) -> _Step:
    def step(body: bytes, at: int) -> int:
        for each in steps:
            at = each(body, at)
        return at

    return step


def _union(node: Node, steps: Sequence[_Step]) -> _Step:
    def step(body: bytes, at: int) -> int:
        number, at = _integer(body, at)
        if not 0 <= number < len(steps):
            raise ValueError(f"a union has no branch {number}")
        return steps[number](body, at)

    return step


def _enum(node: Node, steps: Sequence[_Step]) -> _Step:
    def step(body: bytes, at: int) -> int:
        number, at = _integer(body, at)
        if not 0 <= number < len(node.symbols):
            raise ValueError(f"the enum {node.name} has no symbol {number}")
        return at

    return step


def _block(body: bytes, at: int) -> tuple[int, int]:
    """Return how many items follow, and the place of the first; a negative count is followed by a size in bytes."""
    count, at = _integer(body, at)
    if count < 0:
        at = _past_integer(body, at)
    return abs(count), at


def _array(node: Node, steps: Sequence[_Step]) -> _Step:
    (item,) = steps

    def step(body: bytes, at: int) -> int:
        count, at = _block(body, at)
        while count:
            for _ in range(count):
                at = item(body, at)
            count, at = _block(body, at)
        return at

    return step


def _map(node: Node, steps: Sequence[_Step]) -> _Step:
    (item,) = steps

    def step(body: bytes, at: int) -> int:
        keys: set[bytes] = set()
        count, at = _block(body, at)
        while count:
            for _ in range(count):
                start, at = at, _past_bytes(body, at)
                if body[start:at] in keys:
                    raise ValueError("a map has the same key twice")
                keys.add(body[start:at])
                at = item(body, at)
            count, at = _block(body, at)
        return at

    return step


_WALKS: Mapping[str, _Step] = {
    "null": _past(0),
    "boolean": _past_boolean,
    "int": _past_integer,
    "long": _past_integer,
    "float": _past(4),
    "double": _past(8),
    "bytes": _past_bytes,
    "string": _past_bytes,
}
_COMPILED: Mapping[str, Callable[[Node, Sequence[_Step]], _Step]] = {
    "fixed": lambda node, steps: _past(node.size),
    "record": _record,
    "union": _union,
    "enum": _enum,
    "array": _array,
    "map": _map,
}
