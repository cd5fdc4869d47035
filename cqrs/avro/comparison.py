"""Whether a class and its schema mean the same, looked at before the first message.

For an event the schema must take whatever the class can hold; for a command the class must take whatever the schema
can bring. All differences are told, each with its path.
"""

import enum
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, TypeVar, Union, get_args, get_origin
from uuid import UUID

from cqrs.avro.model import Node
from cqrs.avro.schemas import AvroSchemas
from cqrs.serialization.fields import fields_of
from cqrs.serialization.misfits import join
from cqrs.types import declared_name

Problem = tuple[str, str]

_SEQUENCES = (list, tuple, set, frozenset, Sequence, Collection, AbstractSet)
_MAPPINGS = (dict, Mapping)
_KINDS: Mapping[object, Callable[[Node], bool]] = {
    bool: lambda node: node.kind == "boolean",
    int: lambda node: node.kind in ("int", "long") and not node.logical,
    float: lambda node: node.kind in ("float", "double"),
    str: lambda node: node.kind == "string" and not node.logical,
    bytes: lambda node: node.kind in ("bytes", "fixed") and not node.logical,
    Decimal: lambda node: node.logical == "decimal",
    datetime: lambda node: node.logical in ("timestamp-millis", "timestamp-micros"),
    date: lambda node: node.logical == "date",
    UUID: lambda node: node.logical == "uuid",
}
_ANYTHING = (Any, object)


def event_problems(schemas: AvroSchemas, event_type: type) -> Sequence[str]:
    """Say what would keep events of this class from being written, a sentence each; empty when they all can be."""
    return _problems(schemas, event_type, "event", writing=True)


def command_problems(schemas: AvroSchemas, command_type: type) -> Sequence[str]:
    """Say what would keep commands of this class from being read, a sentence each; empty when they all can be."""
    return _problems(schemas, command_type, "command", writing=False)


def _problems(schemas: AvroSchemas, cls: type, role: str, *, writing: bool) -> Sequence[str]:
    name = declared_name(cls)
    if name is None:
        return [f"{role} {cls.__qualname__} declares no name for the wire, so no schema can be found for it"]
    schema = schemas.get(name)
    if schema is None:
        known = ", ".join(schemas.names) or "none"
        return [f"{role} {name} has no schema: add {role}s/{name}.avsc to the schemas; known are {known}"]
    found = list(_Comparison(writing).compare(cls, schema.root))
    return [f"{role} {name}: {join(path, '') or cls.__qualname__}: {sentence}" for path, sentence in found]


@dataclass(frozen=True, slots=True)
class _Comparison:
    writing: bool

    def compare(self, annotation: Any, node: Node) -> Iterator[Problem]:
        annotation = _unwrapped(annotation)
        if annotation in _ANYTHING or isinstance(annotation, TypeVar):
            return
        members, nullable = _members(annotation)
        branches = [branch for branch in node.branches if branch.kind != "null"] if node.kind == "union" else [node]
        yield from self._nullability(nullable, node)
        if self.writing:
            for member in members:
                yield from _closest([self._one(member, branch) for branch in branches], member, node)
        else:
            for branch in branches:
                yield from _closest([self._one(member, branch) for member in members], annotation, branch)

    def _nullability(self, nullable: bool, node: Node) -> Iterator[Problem]:
        null = node.kind == "null" or any(branch.kind == "null" for branch in node.branches)
        if self.writing and nullable and not null:
            yield "", "may be None, and its schema does not allow null"
        if not self.writing and null and not nullable:
            yield "", "may be null by its schema, and the class does not allow None"

    def _one(self, annotation: Any, node: Node) -> list[Problem]:
        annotation = _unwrapped(annotation)
        if annotation in _ANYTHING:
            return []
        origin = get_origin(annotation) or annotation
        if origin in _KINDS:
            return [] if _KINDS[origin](node) else _mistyped(annotation, node)
        if origin is Literal or (isinstance(origin, type) and issubclass(origin, enum.Enum)):
            return self._choice(annotation, node)
        if origin in _SEQUENCES:
            return self._items(annotation, node, "array")
        if origin in _MAPPINGS:
            return self._items(annotation, node, "map")
        return list(self._fields(origin, node))

    def _choice(self, annotation: Any, node: Node) -> list[Problem]:
        choices = get_args(annotation) or tuple(member.value for member in annotation)
        values = {choice.value if isinstance(choice, enum.Enum) else choice for choice in choices}
        if not all(isinstance(value, str) for value in values) or node.kind not in ("string", "enum"):
            return _mistyped(annotation, node)
        symbols = set(node.symbols) if node.kind == "enum" else values
        strangers = values - symbols if self.writing else symbols - values
        there = "the schema" if self.writing else "the class"
        return [("", f"can be {', '.join(sorted(strangers))}, which {there} does not know")] if strangers else []

    def _items(self, annotation: Any, node: Node, kind: str) -> list[Problem]:
        if node.kind != kind or node.items is None:
            return _mistyped(annotation, node)
        arguments = [each for each in get_args(annotation) if each is not Ellipsis]
        items = node.items
        return [
            (join("[]", path), sentence)
            for argument in (arguments[1:] if kind == "map" else arguments)
            for path, sentence in self.compare(argument, items)
        ]

    def _fields(self, cls: Any, node: Node) -> Iterator[Problem]:
        try:
            fields = fields_of(cls) if isinstance(cls, type) else None
        except TypeError as error:
            yield "", str(error)
            return
        if fields is None or node.kind != "record":
            yield from _mistyped(cls, node)
            return
        annotations = {field.name: field.type for field in fields}
        for each in node.fields:
            if each.name not in annotations:
                yield each.name, f"is in the schema ({each.node.label}) and not in {cls.__qualname__}"
            else:
                yield from (
                    (join(each.name, path), why) for path, why in self.compare(annotations[each.name], each.node)
                )
        for name in sorted(annotations.keys() - {each.name for each in node.fields}):
            yield name, f"is in {cls.__qualname__} and not in the schema"


def _closest(found: Sequence[list[Problem]], annotation: object, node: Node) -> list[Problem]:
    """Return nothing when one candidate has no problem, else the problems of the one that has the fewest."""
    return min(found, key=len) if found else _mistyped(annotation, node)


def _mistyped(annotation: object, node: Node) -> list[Problem]:
    return [("", f"is {_label(annotation)} in the class and {node.label} in the schema")]


def _label(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _unwrapped(annotation: Any) -> Any:
    while True:
        if isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif get_origin(annotation) in (Annotated, Required, NotRequired):
            annotation = get_args(annotation)[0]
        else:
            return annotation


def _members(annotation: Any) -> tuple[list[Any], bool]:
    """Return the members of a union without None, and whether None was one of them."""
    if get_origin(annotation) in (Union, UnionType):
        arguments = get_args(annotation)
        return [each for each in arguments if each is not NoneType], NoneType in arguments
    return ([], True) if annotation in (None, NoneType) else ([annotation], False)
