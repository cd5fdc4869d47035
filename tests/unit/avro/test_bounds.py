import json

import pytest

from cqrs.avro.bounds import MAX_DEPTH, Extent, check_bounds
from cqrs.avro.model import parse


def record(name: str, **fields: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def extent(schema: object) -> Extent:
    return check_bounds(parse(json.dumps(schema)).root)


def array(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("null", Extent(1, 0, 1)),
        ("string", Extent(1, 1, 1)),
        ("double", Extent(1, 8, 1)),
        ({"type": "fixed", "name": "F", "size": 7}, Extent(1, 7, 1)),
        (record("R", a="int", b="float"), Extent(2, 5, 3)),
        (["null", "double"], Extent(2, 1, 2)),
        (array("int"), Extent(2, 1, 2)),
        ({"type": "map", "values": "null"}, Extent(2, 1, 2)),
        (record("R", a=record("S", x="int"), b="S"), Extent(3, 2, 5)),
    ],
)
def test_extents(schema: object, expected: Extent) -> None:
    assert extent(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        record("R", next=["null", "R"]),
        record("R", children=array("R")),
        record("R", a=record("S", b=["null", "R"])),
        record("R", by_name={"type": "map", "values": "R"}),
    ],
)
def test_recursive_schemas_are_refused(schema: object) -> None:
    with pytest.raises(ValueError, match="recursive"):
        extent(schema)


@pytest.mark.parametrize(
    "items",
    ["null", record("E"), {"type": "fixed", "name": "F", "size": 0}, record("N", a="null", b=record("M", c="null"))],
)
def test_items_that_take_no_bytes_are_refused(items: object) -> None:
    with pytest.raises(ValueError, match="take no bytes"):
        extent(array(items))


def test_items_that_blow_up_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        extent(array(record("R", one="boolean", **{f"n{i}": "null" for i in range(100)})))


def test_deep_schemas_are_refused() -> None:
    schema: object = "int"
    for _ in range(MAX_DEPTH - 2):
        schema = array(schema)
    assert extent(array(schema)).depth == MAX_DEPTH

    with pytest.raises(ValueError, match="levels"):
        extent(array(array(array(schema))))


def test_a_few_names_cannot_stand_for_billions_of_values() -> None:
    level: object = record("L0", x="null")
    for depth in range(1, 40):
        level = record(f"L{depth}", a=level, b=f"L{depth - 1}")

    with pytest.raises(ValueError, match="values"):
        extent(level)
