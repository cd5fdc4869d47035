import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs.avro.fitting import fitter
from cqrs.avro.model import parse
from cqrs.serialization.misfits import MisfitException
from cqrs.types import Command


class Colour(enum.Enum):
    RED = "RED"
    BLUE = "BLUE"


def fit(schema: object, value: object) -> object:
    return fitter(parse(json.dumps(schema)).root)(value)


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


MONEY = logical("bytes", "decimal", precision=6, scale=2)
FIXED_MONEY = {"type": "fixed", "name": "M", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2}
MILLIS, MICROS = logical("long", "timestamp-millis"), logical("long", "timestamp-micros")
DAY, KEY = logical("int", "date"), logical("string", "uuid")
SHADES = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)
MOMENT_MILLIS = 1_769_860_800_999


@pytest.mark.parametrize(
    ("schema", "value", "datum"),
    [
        ("null", None, None),
        ("boolean", True, True),
        ("int", -(2**31), -(2**31)),
        ("long", 2**63 - 1, 2**63 - 1),
        ("double", 1, 1.0),
        ("double", 0.1, 0.1),
        ("float", 1.5, 1.5),
        ("string", "ä", "ä"),
        ("string", Colour.RED, "RED"),
        ("bytes", bytearray(b"x"), b"x"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", b"ab"),
        (SHADES, Colour.BLUE, "BLUE"),
        (SHADES, "RED", "RED"),
        (MONEY, Decimal("9.9"), Decimal("9.90")),
        (MONEY, Decimal("9.9900"), Decimal("9.99")),
        (MONEY, Decimal("1E+3"), Decimal("1000.00")),
        (MONEY, Decimal("-9999.99"), Decimal("-9999.99")),
        (FIXED_MONEY, Decimal("99.99"), Decimal("99.99")),
        (FIXED_MONEY, Decimal("-99.99"), Decimal("-99.99")),
        (MILLIS, MOMENT, MOMENT_MILLIS),
        (MILLIS, MOMENT.astimezone(timezone(timedelta(hours=5))), MOMENT_MILLIS),
        (MILLIS, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (MICROS, MOMENT, MOMENT_MILLIS * 1000 + 999),
        (DAY, date(1970, 1, 2), 1),
        (KEY, UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ({"type": "array", "items": "int"}, (1, 2), [1, 2]),
        ({"type": "map", "values": "int"}, {"a": 1}, {"a": 1}),
        (["null", "int"], None, None),
        (["null", "int"], 5, ("int", 5)),
        (["null", MONEY, SHADES], Colour.RED, ("Colour", "RED")),
    ],
)
def test_what_fits(schema: object, value: object, datum: object) -> None:
    made = fit(schema, value)

    assert made == datum
    assert type(made) is type(datum)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("null", 0),
        ("boolean", 1),
        ("int", True),
        ("int", 1.0),
        ("int", "1"),
        ("int", 2**31),
        ("int", -(2**31) - 1),
        ("int", Decimal(1)),
        ("long", 2**63),
        ("long", None),
        ("double", True),
        ("double", "1.0"),
        ("double", Decimal("1.0")),
        ("double", 2**53 + 1),
        ("float", 1e39),
        ("string", b"x"),
        ("string", 5),
        ("string", "\ud800"),
        ("string", UUID(int=1)),
        ("bytes", "x"),
        ({"type": "fixed", "name": "F", "size": 2}, b"abc"),
        (SHADES, "GREEN"),
        (SHADES, 0),
        (MONEY, 9.99),
        (MONEY, 9),
        (MONEY, "9.99"),
        (MONEY, Decimal("9.999")),
        (MONEY, Decimal("10000")),
        (MONEY, Decimal("NaN")),
        (MONEY, Decimal("sNaN")),
        (MONEY, Decimal("Infinity")),
        (MONEY, Decimal("1e999999")),
        (MONEY, Decimal("1e-999999")),
        (FIXED_MONEY, Decimal("100.00")),
        (MILLIS, datetime(2026, 1, 1)),  # noqa: DTZ001
        (MILLIS, 5),
        (MILLIS, date(2026, 1, 1)),
        (DAY, MOMENT),
        (DAY, 1),
        (KEY, "00000000-0000-0000-0000-000000000007"),
        ({"type": "array", "items": "int"}, "text"),
        ({"type": "array", "items": "int"}, {"a": 1}),
        ({"type": "map", "values": "int"}, [1]),
        ({"type": "map", "values": "int"}, {1: 1}),
        (["null", "int"], "x"),
        (["null", "int", "string"], 1.5),
    ],
)
def test_what_does_not(schema: object, value: object) -> None:
    with pytest.raises(MisfitException):
        fit(schema, value)


LINE = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"}],
}


@dataclass(frozen=True)
class Line:
    sku: object
    quantity: object


class TupleLine(NamedTuple):
    sku: str
    quantity: int


class ModelLine(BaseModel):
    sku: str
    quantity: int


class PlainLine:
    def __init__(self, sku: str, quantity: int) -> None:
        self.sku = sku
        self.quantity = quantity
        self._hidden = True


@dataclass(frozen=True)
class CommandLine(Command[str]):
    sku: str
    quantity: int


@pytest.mark.parametrize("make", [Line, TupleLine, ModelLine, PlainLine, CommandLine, dict])
def test_a_record_is_any_object_with_its_fields(make: type) -> None:
    assert fit(LINE, make(sku="A", quantity=1)) == {"sku": "A", "quantity": 1}


class WideLine(ModelLine):
    colour: str = "red"


class NarrowLine(BaseModel):
    sku: str


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (WideLine(sku="A", quantity=1), ("colour", "is not in the schema")),
        (NarrowLine(sku="A"), ("quantity", "is missing")),
        ({"sku": "A"}, ("quantity", "is missing")),
        ({"sku": "A", "quantity": 1, "colour": "red"}, ("colour", "is not in the schema")),
        (5, ("", "must be an object with the fields sku, quantity, not int")),
        (None, ("", "must be an object with the fields sku, quantity, not null")),
    ],
)
def test_nothing_is_left_out_or_made_up(value: object, problem: tuple[str, str]) -> None:
    with pytest.raises(MisfitException) as raised:
        fit(LINE, value)

    assert raised.value.problems == (problem,)


def test_every_misfit_is_named_with_its_path() -> None:
    schema = {"type": "map", "values": {"type": "array", "items": ["null", LINE]}}
    value: Mapping[str, object] = {"a": [Line("A", 1), None, Line(5, True)], "b": [Line("A", 2**31)]}

    with pytest.raises(MisfitException) as raised:
        fit(schema, value)

    assert [path for path, _ in raised.value.problems] == ["a[2].sku", "a[2].quantity", "b[0].quantity"]


@pytest.mark.parametrize("name", ["time-millis", "duration", "invented"])
def test_an_unknown_logical_type_is_told_when_it_is_compiled(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        fitter(parse(json.dumps(logical("int", name))).root)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_fits_exactly_or_not_at_all(value: Decimal) -> None:
    try:
        made = fit(MONEY, value)
    except MisfitException:
        assert abs(value) >= 10_000 or value != value.quantize(Decimal("0.01"))
    else:
        assert made == value
