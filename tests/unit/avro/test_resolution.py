import io
import json

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from cqrs.avro.model import parse
from cqrs.avro.resolution import mismatches


def record(name: str, *fields: dict[str, object], **more: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


def decimal(precision: int, scale: int) -> dict[str, object]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def enum(*symbols: str, **more: object) -> dict[str, object]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def array(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


def logical(kind: str, name: str) -> dict[str, object]:
    return {"type": kind, "logicalType": name}


MILLIS, MICROS = logical("long", "timestamp-millis"), logical("long", "timestamp-micros")
NULLABLE = ["null", "string"]
TREE = record("T", field("v", "int"), field("next", ["null", "T"]))
LONG_TREE = record("T", field("v", "long"), field("next", ["null", "T"]))
TEXT_TREE = record("T", field("v", "string"), field("next", ["null", "T"]))


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("int", "long"),
        ("int", "double"),
        ("long", "float"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
        ("string", NULLABLE),
        (["int"], ["null", "long"]),
        (["int", "long"], "double"),
        (decimal(10, 2), decimal(12, 2)),
        (decimal(14, 2), decimal(12, 2)),
        (MILLIS, MICROS),
        ("string", logical("string", "uuid")),
        (enum("A"), enum("A", "B")),
        (enum("A", "Z"), enum("A", default="A")),
        (record("a.R"), record("R")),
        (record("a.Old"), record("R", aliases=["a.Old"])),
        (record("R", field("x", "int")), record("R")),
        (record("R"), record("R", field("x", "int", default=1))),
        (record("R", field("x", "int")), record("R", field("y", "int", aliases=["x"]))),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}),
        ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}),
        (TREE, TREE),
        (TREE, LONG_TREE),
    ],
)
def test_what_a_reader_understands(writer: object, reader: object) -> None:
    assert mismatches(parse(json.dumps(writer)).root, parse(json.dumps(reader)).root) == []


@pytest.mark.parametrize(
    ("writer", "reader", "path", "says"),
    [
        ("long", "int", "", "long cannot be read as int"),
        ("int", "string", "", "int cannot be read as string"),
        ("int", MILLIS, "", "int cannot be read as timestamp-millis"),
        ("long", MILLIS, "", "long cannot be read as timestamp-millis"),
        (decimal(12, 3), decimal(12, 2), "", r"decimal\(12,3\) cannot be read as decimal\(12,2\)"),
        (NULLABLE, "string", "", "null cannot be read as string"),
        ("int", NULLABLE, "", "int cannot be read as any of null | string"),
        (enum("A", "Z"), enum("A"), "", "does not know Z"),
        (record("R"), record("S"), "", "R is not S"),
        ({"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 2}, "", "has 1 bytes"),
        (record("R"), record("R", field("x", "int")), "x", "no default"),
        (record("R", field("x", "string")), record("R", field("x", "int")), "x", "string cannot"),
        (
            {"type": "array", "items": record("R")},
            {"type": "array", "items": record("R", field("x", "int"))},
            "[].x",
            "",
        ),
        (TREE, TEXT_TREE, "v", "int cannot"),
    ],
)
def test_what_it_does_not(writer: object, reader: object, path: str, says: str) -> None:
    found = mismatches(parse(json.dumps(writer)).root, parse(json.dumps(reader)).root)

    assert found[0][0] == path
    assert says.replace("\\", "") in found[0][1]


def test_all_mismatches_are_told() -> None:
    writer = record("R", field("a", "string"), field("b", {"type": "array", "items": "string"}))
    reader = record("R", field("a", "int"), field("b", {"type": "array", "items": "int"}), field("c", "int"))

    found = mismatches(parse(json.dumps(writer)).root, parse(json.dumps(reader)).root)

    assert [path for path, _ in found] == ["a", "b[]", "c"]


def test_a_union_of_records_tells_the_closest() -> None:
    writer = record("R", field("a", "string"))
    reader = ["null", record("R", field("a", "string"), field("b", "int"))]

    found = mismatches(parse(json.dumps(writer)).root, parse(json.dumps(reader)).root)

    assert [path for path, _ in found] == ["", "b"]


def test_fastavro_reads_what_is_said_to_be_readable() -> None:
    writer = record("a.Old", field("x", "int"), field("gone", "string"))
    reader = record("R", field("y", "double", aliases=["x"]), field("new", "int", default=3), aliases=["a.Old"])
    assert mismatches(parse(json.dumps(writer)).root, parse(json.dumps(reader)).root) == []
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(writer), {"x": 1, "gone": "g"})

    body.seek(0)

    assert schemaless_reader(body, parse_schema(writer), parse_schema(reader)) == {"y": 1.0, "new": 3}
