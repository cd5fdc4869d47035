import enum
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from cqrs.avro.comparison import command_problems, event_problems
from cqrs.avro.model import parse
from cqrs.avro.schemas import AvroSchemas
from cqrs.types import message_type


def record(name: str, **fields: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def schemas(schema: dict[str, object]) -> AvroSchemas:
    parsed = parse(json.dumps(schema))
    return AvroSchemas({parsed.name: parsed})


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


class Colour(enum.Enum):
    RED = "RED"
    BLUE = "BLUE"


class Number(enum.Enum):
    ONE = 1


class Point(BaseModel):
    x: int


Sku = NewType("Sku", str)
COLOURS = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
MONEY = logical("bytes", "decimal", precision=12, scale=2)
POINT = record("Point", x="int")


def problems(annotation: object, schema: object, *, writing: bool = True) -> Sequence[str]:
    cls: type = message_type("t.E")(dataclass(type("E", (), {"__annotations__": {"f": annotation}, "f": field()})))
    look = event_problems if writing else command_problems
    return look(schemas(record("t.E", f=schema)), cls)


@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, "string"),
        (Sku, "string"),
        (int, "int"),
        (int, "long"),
        (Annotated[int, Field(gt=0)], "int"),
        (float, "double"),
        (float, "float"),
        (bool, "boolean"),
        (bytes, "bytes"),
        (bytes, {"type": "fixed", "name": "F", "size": 2}),
        (Decimal, MONEY),
        (datetime, logical("long", "timestamp-millis")),
        (datetime, logical("long", "timestamp-micros")),
        (date, logical("int", "date")),
        (UUID, logical("string", "uuid")),
        (Colour, COLOURS),
        (Literal["RED", "BLUE"], COLOURS),
        (Literal["RED"], "string"),
        (Point, POINT),
        (list[int], {"type": "array", "items": "int"}),
        (tuple[Point, ...], {"type": "array", "items": POINT}),
        (Sequence[str | None], {"type": "array", "items": ["null", "string"]}),
        (dict[str, Decimal], {"type": "map", "values": MONEY}),
        (int | None, ["null", "int"]),
        (int | str, ["int", "string"]),
        (Any, "string"),
        (object, POINT),
    ],
)
def test_what_means_the_same(annotation: object, schema: object, *, writing: bool) -> None:
    assert problems(annotation, schema, writing=writing) == []


@pytest.mark.parametrize(
    ("annotation", "schema", "says"),
    [
        (str, "int", "is str in the class and int in the schema"),
        (bool, "int", "is bool"),
        (float, MONEY, r"decimal\(12,2\)"),
        (Decimal, "double", "is Decimal"),
        (date, logical("long", "timestamp-millis"), "is date"),
        (datetime, "long", "is datetime"),
        (str, logical("string", "uuid"), "is str"),
        (Number, COLOURS, "is Number"),
        (Number, "int", "is Number"),
        (list[str], {"type": "array", "items": "int"}, r"f\[\]: is str"),
        (dict[str, str], {"type": "map", "values": "int"}, r"f\[\]: is str"),
        (list[str], "string", "is list"),
        (Point, "string", "is Point"),
        (Point, record("Point", x="string"), r"f\.x: is int"),
        (Point, record("Point", x="int", y="int"), r"f\.y: is in the schema \(int\) and not in Point"),
        (Point, record("Point"), r"f\.x: is in Point and not in the schema"),
        (complex, "double", "is complex"),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_what_does_not(annotation: object, schema: object, says: str, *, writing: bool) -> None:
    (problem,) = problems(annotation, schema, writing=writing)

    assert re.search(says, problem)


@pytest.mark.parametrize(
    ("annotation", "schema", "writing_says", "reading_says"),
    [
        (int | None, "int", "may be None", None),
        (int, ["null", "int"], None, "may be null by its schema"),
        (int | str, "int", "is str", None),
        (int, ["int", "string"], None, "is int"),
        (Literal["RED"], COLOURS, None, "can be BLUE, which the class does not know"),
        (Literal["RED", "GREEN", "BLUE"], COLOURS, "can be GREEN, which the schema does not know", None),
    ],
)
def test_events_and_commands_look_from_opposite_sides(
    annotation: object, schema: object, writing_says: str | None, reading_says: str | None
) -> None:
    for writing, says in ((True, writing_says), (False, reading_says)):
        found = problems(annotation, schema, writing=writing)
        assert [says is not None and says in problem for problem in found] == ([True] if says else [])


@message_type("t.Wrong")
@dataclass
class Wrong:
    here: int
    mistyped: str
    nested: list[Point]


def test_all_differences_are_told() -> None:
    schema = record("t.Wrong", mistyped="int", there="int", nested={"type": "array", "items": record("Point", y="int")})

    found = event_problems(schemas(schema), Wrong)

    assert [problem.split(": ")[1] for problem in found] == ["mistyped", "there", "nested[].y", "nested[].x", "here"]
    assert all(problem.startswith("event t.Wrong: ") for problem in found)


def test_a_class_without_a_schema_or_a_name_is_told() -> None:
    known = schemas(record("t.E"))

    assert "has no schema: add events/t.Wrong.avsc" in event_problems(known, Wrong)[0]
    assert "has no schema: add commands/t.Wrong.avsc" in command_problems(known, Wrong)[0]
    assert "declares no name" in event_problems(known, Point)[0]
