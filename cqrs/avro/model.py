"""A schema as a graph of nodes, names resolved: what bounds, resolution, fitting and comparison all look at."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastavro.schema import SchemaParseException, UnknownType, parse_schema
from fastavro.types import Schema

from cqrs.messaging.schemas import canonical_schema
from cqrs.serialization.json import parse_json

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_JSON_DEPTH = 200
NAMED = frozenset({"record", "enum", "fixed"})
PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_BAD_SCHEMA = (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, AttributeError, IndexError)


@dataclass(slots=True, eq=False)
class Node:
    """Be one type of a schema; equal named types are the same node, and a recursive one reaches itself.

    Attributes:
        kind: Avro's type: `record`, `int`, `union`, ...
        name: The full name of a named type, else empty.
        aliases: Full names that a reader's named type also answers to.
        logical: The logical type, or empty.
        precision: Of a decimal.
        scale: Of a decimal.
        size: Bytes of a fixed.
        symbols: Of an enum.
        default_symbol: What a reader's enum makes of an unknown symbol, or None.
        fields: Of a record.
        items: Of an array; of a map, the values.
        branches: Of a union.
    """

    kind: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    logical: str = ""
    precision: int = 0
    scale: int = 0
    size: int = 0
    symbols: tuple[str, ...] = ()
    default_symbol: str | None = None
    fields: "tuple[FieldNode, ...]" = ()
    items: "Node | None" = None
    branches: "tuple[Node, ...]" = field(default=())

    @property
    def label(self) -> str:
        """Return how a sentence calls this type, for example `decimal(12,2)` or `orders.OrderItem`."""
        if self.logical == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.kind == "union":
            return " | ".join(branch.label for branch in self.branches)
        return self.name or self.logical or self.kind


@dataclass(frozen=True, slots=True, eq=False)
class FieldNode:
    """Be one field of a record.

    Attributes:
        name: Its name.
        node: Its type.
        has_default: Whether a reader fills it in when the writer has no such field.
        aliases: Names that a reader's field also answers to.
    """

    name: str
    node: Node
    has_default: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AvroSchema:
    """Hold one schema in the three forms that are needed.

    Attributes:
        text: Its JSON text in the one spelling that equal schemas share.
        parsed: What fastavro reads and writes with.
        root: Its graph.
    """

    text: str
    parsed: Schema
    root: Node

    @property
    def name(self) -> str:
        """Return the full name of the record, or the type's word when it has none."""
        return self.root.name or self.root.kind


def parse(text: str) -> AvroSchema:
    """Parse the JSON text of an Avro schema.

    Raises:
        ValueError: it is not JSON or no Avro schema, or it is larger or deeper than a schema may be.
    """
    if len(text) > MAX_SCHEMA_BYTES:
        raise ValueError(f"the schema has {len(text)} characters, more than the {MAX_SCHEMA_BYTES} allowed")
    parse_json(text.encode(), max_depth=MAX_SCHEMA_JSON_DEPTH)  # refuses what the lenient parser below lets pass
    try:
        parsed = parse_schema(json.loads(text))
        return AvroSchema(canonical_schema(text), parsed, graph(parsed))
    except _BAD_SCHEMA as error:
        raise ValueError(f"it is not an Avro schema: {type(error).__name__}: {str(error)[:500]}") from error


def graph(parsed: object) -> Node:
    """Return the graph of a schema that fastavro has parsed."""
    return _Graph().node(parsed)


class _Graph:
    def __init__(self) -> None:
        self._named: dict[str, Node] = {}

    def node(self, schema: Any) -> Node:
        if isinstance(schema, str):
            return Node(schema) if schema in PRIMITIVES else self._named[schema]
        if isinstance(schema, list):
            return Node("union", branches=tuple(self.node(branch) for branch in schema))
        kind = schema["type"]
        if not isinstance(kind, str) or kind in self._named:
            return self.node(kind)
        if kind not in PRIMITIVES | NAMED | {"array", "map"}:
            raise ValueError(f"the type {kind!r} cannot be used in a message")
        return self._complex(kind, schema)

    def _complex(self, kind: str, schema: Mapping[str, Any]) -> Node:
        node = Node(kind, logical=str(schema.get("logicalType", "")))
        node.precision, node.scale = int(schema.get("precision", 0)), int(schema.get("scale", 0))
        if kind in NAMED:
            self._name(node, schema)
        if kind == "record":
            node.fields = tuple(self._field(each) for each in schema["fields"])
        elif kind in ("array", "map"):
            node.items = self.node(schema["items" if kind == "array" else "values"])
        return node

    def _name(self, node: Node, schema: Mapping[str, Any]) -> None:
        node.name = schema["name"]
        if not _NAME.match(node.name):
            raise ValueError(f"{node.name[:80]!r} is no name of Avro's")
        namespace = node.name.rpartition(".")[0]
        node.aliases = tuple(
            alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in schema.get("aliases", ())
        )
        node.size, node.symbols = int(schema.get("size", 0)), tuple(schema.get("symbols", ()))
        node.default_symbol = schema.get("default")
        self._named[node.name] = node

    def _field(self, schema: Mapping[str, Any]) -> FieldNode:
        return FieldNode(
            schema["name"], self.node(schema["type"]), "default" in schema, tuple(schema.get("aliases", ()))
        )
