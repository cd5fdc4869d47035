"""Whether a reader's schema understands a writer's: Avro's schema resolution, with what is lost in silence refused.

Source: Apache Avro 1.11 specification, "Schema Resolution". Stricter in one point: decimals of another scale and values
of another logical type do not match, since a reader would take the same bytes for another amount or another thing.
"""

from collections.abc import Iterator

from cqrs.avro.model import FieldNode, Node
from cqrs.serialization.misfits import join

_PROMOTIONS = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}
_POINTS_IN_TIME = {"timestamp-millis", "timestamp-micros"}


def mismatches(writer: Node, reader: Node) -> list[tuple[str, str]]:
    """Return why `reader` cannot read everything that `writer` writes, as (path, sentence); empty when it can."""
    return _Resolution().compare(writer, reader)


class _Resolution:
    def __init__(self) -> None:
        self._known: dict[tuple[int, int], list[tuple[str, str]]] = {}

    def compare(self, writer: Node, reader: Node) -> list[tuple[str, str]]:
        key = (id(writer), id(reader))
        if key not in self._known:
            self._known[key] = []  # inside a recursive schema, what holds further up holds here
            self._known[key] = list(self._compare(writer, reader))
        return self._known[key]

    def _compare(self, writer: Node, reader: Node) -> Iterator[tuple[str, str]]:
        if writer.kind == "union":
            for branch in writer.branches:
                yield from self.compare(branch, reader)
        elif reader.kind == "union":
            yield from self._any_branch(writer, reader)
        elif writer.kind == reader.kind:
            yield from self._same_kind(writer, reader)
        elif reader.kind not in _PROMOTIONS.get(writer.kind, ()) or writer.logical or reader.logical:
            yield "", f"{writer.label} cannot be read as {reader.label}"

    def _any_branch(self, writer: Node, reader: Node) -> Iterator[tuple[str, str]]:
        refusals = [self.compare(writer, branch) for branch in reader.branches]
        if all(refusals):
            alike = [
                found for branch, found in zip(reader.branches, refusals, strict=True) if branch.kind == writer.kind
            ]
            yield "", f"{writer.label} cannot be read as any of {reader.label}"
            yield from min(alike, key=len, default=[])

    def _same_kind(self, writer: Node, reader: Node) -> Iterator[tuple[str, str]]:
        yield from _named_mismatch(writer, reader)
        yield from _logical_mismatch(writer, reader)
        if reader.kind == "record":
            for field in reader.fields:
                yield from self._field(writer, field)
        elif writer.items is not None and reader.items is not None:
            yield from ((join("[]", path), sentence) for path, sentence in self.compare(writer.items, reader.items))

    def _field(self, writer: Node, field: FieldNode) -> Iterator[tuple[str, str]]:
        written = next((each for each in writer.fields if each.name == field.name), None) or next(
            (each for each in writer.fields if each.name in field.aliases), None
        )
        if written is not None:
            yield from ((join(field.name, path), why) for path, why in self.compare(written.node, field.node))
        elif not field.has_default:
            yield field.name, "is not written, and the reader has no default for it"


def _named_mismatch(writer: Node, reader: Node) -> Iterator[tuple[str, str]]:
    if not writer.name:
        return
    same = writer.name.rpartition(".")[2] == reader.name.rpartition(".")[2] or writer.name in reader.aliases
    if not same:
        yield "", f"{writer.name} is not {reader.name}, nor one of its aliases"
    elif writer.kind == "fixed" and writer.size != reader.size:
        yield "", f"{writer.name} has {writer.size} bytes, the reader's {reader.size}"
    elif writer.kind == "enum" and reader.default_symbol is None:
        unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if unknown:
            yield "", f"the reader's {reader.name} does not know {', '.join(unknown)}, and has no default"


def _logical_mismatch(writer: Node, reader: Node) -> Iterator[tuple[str, str]]:
    same = writer.logical == reader.logical or {writer.logical, reader.logical} <= _POINTS_IN_TIME
    if writer.kind == "string" and not writer.logical and reader.logical == "uuid":
        same = True  # the text is checked when it is read
    if not same or (writer.logical == "decimal" and writer.scale != reader.scale):
        yield "", f"{writer.label} cannot be read as {reader.label}"
