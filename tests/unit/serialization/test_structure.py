import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from cqrs.serialization.scalars import read_decimal
from cqrs.serialization.structure import MisfitException, build, plain


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


class Pair(NamedTuple):
    left: str
    right: int = 1


class Options(TypedDict):
    size: int
    name: NotRequired[str]


Sku = NewType("Sku", str)


@dataclass
class Everything:
    text: str
    number: int
    amount: Decimal
    ratio: float
    flag: bool
    at: datetime
    day: date
    key: UUID
    raw: bytes
    colour: Colour
    level: Level
    kind: Literal["a", "b"]
    maybe: int | None
    either: int | str
    point: Point
    pair: Pair
    options: Options
    sku: Sku
    few: Annotated[int, Field(gt=0)]
    anything: Any
    listed: list[Point]
    several: tuple[Point, ...]
    two: tuple[int, str]
    distinct: frozenset[str]
    by_name: dict[str, Point]
    by_colour: dict[Colour, int]


DATA: dict[str, object] = {
    "text": "ä",
    "number": 5,
    "amount": "1.10",
    "ratio": Decimal("0.5"),
    "flag": True,
    "at": "2026-01-31T12:00:00+01:00",
    "day": "2026-01-31",
    "key": "00000000-0000-0000-0000-000000000007",
    "raw": "AP8=",
    "colour": "red",
    "level": 2,
    "kind": "b",
    "maybe": None,
    "either": "x",
    "point": {"x": 1},
    "pair": {"left": "l"},
    "options": {"size": 3},
    "sku": "A",
    "few": 1,
    "anything": {"deep": [1]},
    "listed": [{"x": 1, "y": 2}],
    "several": [{"x": 1}],
    "two": [1, "b"],
    "distinct": ["b", "a"],
    "by_name": {"n": {"x": 1}},
    "by_colour": {"blue": 1},
}


def test_every_kind_of_field_is_built() -> None:
    made = build(Everything, DATA)

    assert made == Everything(
        text="ä",
        number=5,
        amount=Decimal("1.10"),
        ratio=0.5,
        flag=True,
        at=datetime(2026, 1, 31, 11, tzinfo=UTC),
        day=date(2026, 1, 31),
        key=UUID(int=7),
        raw=b"\x00\xff",
        colour=Colour.RED,
        level=Level.HIGH,
        kind="b",
        maybe=None,
        either="x",
        point=Point(1, 0),
        pair=Pair("l"),
        options={"size": 3},
        sku=Sku("A"),
        few=1,
        anything={"deep": [1]},
        listed=[Point(1, 2)],
        several=(Point(1),),
        two=(1, "b"),
        distinct=frozenset({"a", "b"}),
        by_name={"n": Point(1)},
        by_colour={Colour.BLUE: 1},
    )
    assert made.at.tzinfo is UTC
    assert type(made.amount) is Decimal
    assert str(made.amount) == "1.10"


def test_what_is_built_turns_plain_again() -> None:
    made = build(Everything, DATA)

    assert build(Everything, plain(made)) == made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 5),
        ("text", None),
        ("number", "5"),
        ("number", True),
        ("number", 5.0),
        ("number", Decimal("5.0")),
        ("amount", 1.1),
        ("amount", True),
        ("amount", "NaN"),
        ("amount", " 1"),
        ("amount", "1_000"),
        ("amount", "٣"),
        ("amount", ""),
        ("amount", "1e9999"),
        ("amount", Decimal("1e-9999")),
        ("amount", Decimal("Infinity")),
        ("ratio", "0.5"),
        ("ratio", True),
        ("ratio", Decimal("1e999")),
        ("ratio", 10**400),
        ("flag", 1),
        ("flag", "true"),
        ("at", "2026-01-31T12:00:00"),
        ("at", "2026-01-31"),
        ("at", "yesterday"),
        ("at", 1_700_000_000),
        ("at", "0001-01-01T00:00:00+10:00"),
        ("at", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("day", "2026-02-30"),
        ("day", "20260131"),
        ("day", datetime(2026, 1, 1, tzinfo=UTC)),
        ("key", "{00000000-0000-0000-0000-000000000007}"),
        ("key", "00000000000000000000000000000007"),
        ("key", 7),
        ("raw", "not base64!"),
        ("raw", 5),
        ("colour", "RED"),
        ("colour", "green"),
        ("colour", ["red"]),
        ("level", True),
        ("level", "2"),
        ("kind", "c"),
        ("maybe", "x"),
        ("either", 1.5),
        ("point", {"x": 1, "z": 2}),
        ("point", {}),
        ("point", [1, 2]),
        ("pair", ["l", 1]),
        ("options", {"name": "n"}),
        ("options", {"size": 1, "sizes": 2}),
        ("sku", 5),
        ("few", 0),
        ("listed", {"x": 1}),
        ("listed", "text"),
        ("several", [{"x": "1"}]),
        ("two", [1]),
        ("two", [1, "b", 3]),
        ("two", ["a", 1]),
        ("distinct", ["a", "a"]),
        ("by_name", [["n", {"x": 1}]]),
        ("by_name", {"n": {"x": None}}),
        ("by_colour", {"green": 1}),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(name: str, value: object) -> None:
    with pytest.raises(MisfitException) as raised:
        build(Everything, {**DATA, name: value})

    assert {path.partition(".")[0].partition("[")[0] for path, _ in raised.value.problems} == {name}


def test_a_union_that_nothing_fits_tells_why() -> None:
    with pytest.raises(MisfitException, match="fits none of its 2 forms"):
        build(Everything, {**DATA, "either": None})


def test_values_that_avro_has_already_made_are_taken() -> None:
    made = build(
        Everything,
        {**DATA, "at": datetime(2026, 1, 1, tzinfo=UTC), "day": date(2026, 1, 1), "key": UUID(int=1), "raw": b"x"},
    )

    assert (made.at, made.day, made.key, made.raw) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        date(2026, 1, 1),
        UUID(int=1),
        b"x",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Word.YES, "yes"),
        (Level.LOW, 1),
        ({Colour.RED: 1}, {"red": 1}),
        ({UUID(int=1): 1}, {"00000000-0000-0000-0000-000000000001": 1}),
        ({"b", "a"}, ["a", "b"]),
        ((1, (2,)), [1, [2]]),
        (Decimal("1E+3"), "1E+3"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
    ],
)
def test_plain_forms(value: object, expected: object) -> None:
    assert plain(value) == expected


@given(
    st.builds(
        Point,
        x=st.integers(),
        y=st.integers(),
    )
)
def test_points_round_trip(point: Point) -> None:
    assert build(Point, plain(point)) == point


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Infinity", "must be a decimal number such as 12.50 in the digits 0 to 9, not 'Infinity'"),
        ("\u0663", "must be a decimal number such as 12.50 in the digits 0 to 9, not '\\u0663'"),
        ("x" * 50, f"must be a decimal number such as 12.50 in the digits 0 to 9, not '{'x' * 20}...'"),
        ("1E+9999", "must be a finite number between 1e-6144 and 1e6144, not '1E+9999'"),
        (1.5, "must be a decimal number, or a string that holds one, not a fraction"),
        (None, "must be a decimal number, or a string that holds one, not null"),
    ],
)
def test_what_is_no_decimal_is_said_with_the_reason(value: object, said: str) -> None:
    with pytest.raises(MisfitException) as refused:
        read_decimal(value)

    assert str(refused.value) == said


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value.adjusted()) <= 6144))
def test_decimals_round_trip_exactly(value: Decimal) -> None:
    @dataclass
    class Holder:
        amount: Decimal

    made = build(Holder, plain(Holder(value))).amount

    assert made.as_tuple() == value.as_tuple()
