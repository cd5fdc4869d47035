import json
from decimal import Decimal

import pytest

from cqrs.avro.model import parse
from cqrs.avro.values import Check, value_check
from cqrs.serialization.misfits import MisfitException

MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}


def record(**fields: object) -> dict[str, object]:
    return {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def compiled(schema: object) -> Check:
    check = value_check(parse(json.dumps(schema)).root)
    assert check is not None
    return check


@pytest.mark.parametrize(
    "schema",
    ["string", "long", record(a="string", b=["null", "long"]), {"type": "array", "items": "double"}, ["int", "string"]],
)
def test_what_can_be_trusted_costs_nothing(schema: object) -> None:
    assert value_check(parse(json.dumps(schema)).root) is None


@pytest.mark.parametrize(
    ("schema", "good", "bad", "path"),
    [
        ("int", 2**31 - 1, 2**31, ""),
        (MONEY, Decimal("99.99"), Decimal("1.049E+4"), ""),
        (MONEY, Decimal("0.00"), Decimal("100.00"), ""),
        (["null", "int"], None, -(2**31) - 1, ""),
        (record(a="string", b="int"), {"a": "", "b": 1}, {"a": "", "b": 2**40}, "b"),
        ({"type": "array", "items": record(a=MONEY)}, [{"a": Decimal("1.00")}], [{"a": Decimal("1E+1")}], "[0].a"),
        ({"type": "map", "values": "int"}, {"k": 1}, {"k": 2**40}, "[k]"),
    ],
)
def test_what_fastavro_lets_pass_is_found(schema: object, good: object, bad: object, path: str) -> None:
    check = compiled(schema)
    check(good)

    with pytest.raises(MisfitException) as raised:
        check(bad)

    assert raised.value.problems[0][0] == path
