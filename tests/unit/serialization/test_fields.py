from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, PositiveInt, field_validator

from cqrs.exceptions import ConfigurationException
from cqrs.serialization.structure import MisfitException, build, plain, shape_problems
from cqrs.types import Command


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


class Model(BaseModel):
    name: str
    count: PositiveInt = 1
    points: list[Point] = []
    alias: str = Field(default="", alias="other-name")

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "nobody":
            raise ValueError("nobody is not a name")
        return value


def test_a_pydantic_model_keeps_its_own_rules() -> None:
    made = build(Model, {"name": "n", "count": 2, "points": [{"x": 1}], "other-name": "o"})

    assert (made.name, made.count, made.points, made.alias) == ("n", 2, [Point(1)], "o")
    assert plain(made) == {"name": "n", "count": 2, "points": [{"x": 1, "y": 0}], "other-name": "o"}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"name": "nobody"}, "name"),
        ({"name": "n", "count": 0}, "count"),
        ({"name": "n", "count": "2"}, "count"),
        ({"name": "n", "colour": "red"}, "colour"),
        ({"count": 1}, "name"),
        ({"name": "n", "points": [{"x": 1}, {"x": "1"}]}, "points[1].x"),
    ],
)
def test_a_pydantic_model_is_as_strict_as_all_else(data: object, path: str) -> None:
    with pytest.raises(MisfitException) as raised:
        build(Model, data)

    assert [where for where, _ in raised.value.problems] == [path]


class ByHand:
    def __init__(self, name: str, amount: Decimal = Decimal(0)) -> None:
        if not name:
            raise ValueError("the name is empty")
        self.name = name
        self.amount = amount
        self.doubled = amount * 2
        self._secret = "kept"


def test_a_plain_class_is_built_by_its_own_init() -> None:
    made = build(ByHand, {"name": "n", "amount": "2.5"})

    assert (made.name, made.amount) == ("n", Decimal("2.5"))
    assert plain(made) == {"name": "n", "amount": "2.5", "doubled": "5.0"}


def test_an_init_that_refuses_is_a_misfit() -> None:
    with pytest.raises(MisfitException, match="ByHand refuses it: the name is empty"):
        build(ByHand, {"name": ""})


class PlainCommand(Command[str]):
    def __init__(self, order_id: str) -> None:
        self.order_id = order_id


def test_metadata_of_a_command_is_made_and_never_shown() -> None:
    made = build(PlainCommand, {"order_id": "o-1"})

    assert made.get_command_id()
    assert plain(made) == {"order_id": "o-1"}


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)
    depth: int = field(default=0, init=False)


def test_a_class_may_hold_itself() -> None:
    made = build(Tree, {"name": "a", "children": [{"name": "b"}]})

    assert made == Tree("a", [Tree("b")])
    assert plain(made) == {
        "name": "a",
        "depth": 0,
        "children": [{"name": "b", "children": [], "depth": 0}],
    }


def test_a_field_that_init_does_not_take_is_not_known() -> None:
    with pytest.raises(MisfitException, match="depth: is not known"):
        build(Tree, {"name": "a", "depth": 1})


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    content: T
    bare: list  # type: ignore[type-arg]


def test_a_type_that_says_nothing_takes_anything() -> None:
    assert build(Box, {"content": {"a": 1}, "bare": [1, "x"]}) == Box({"a": 1}, [1, "x"])


class Strange:
    __slots__ = ()


@dataclass
class Unreadable:
    thing: Strange


@dataclass
class Unresolved:
    thing: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Untyped:
    def __init__(self, thing) -> None:  # type: ignore[no-untyped-def]
        self.thing = thing


class Variadic:
    def __init__(self, *things: int) -> None:
        self.things = things


@pytest.mark.parametrize("cls", [Unreadable, Unresolved, Untyped, Variadic])
def test_a_class_that_cannot_be_read_is_a_wiring_error(cls: type) -> None:
    with pytest.raises(ConfigurationException):
        build(cls, {"thing": 1})


@pytest.mark.parametrize(("cls", "count"), [(Unresolved, 1), (Untyped, 1), (Variadic, 1), (Point, 0), (Model, 0)])
def test_shape_problems_are_known_before_the_first_message(cls: type, count: int) -> None:
    assert len(shape_problems(cls)) == count


Bounded = TypeVar("Bounded", bound=Point)


@dataclass
class Rare(Generic[Bounded]):
    span: timedelta
    clock: time
    bounded: Bounded
    unit: None
    loose_map: dict  # type: ignore[type-arg]
    loose_set: frozenset  # type: ignore[type-arg]
    loose_tuple: tuple  # type: ignore[type-arg]


RARE: dict[str, object] = {
    "span": "PT1M30S",
    "clock": "12:30:00",
    "bounded": {"x": 1},
    "unit": None,
    "loose_map": {"a": [1]},
    "loose_set": ["a"],
    "loose_tuple": [1, "b"],
}


def test_what_is_left_is_read_by_pydantic() -> None:
    made = build(Rare, RARE)

    assert made == Rare(timedelta(seconds=90), time(12, 30), Point(1), None, {"a": [1]}, frozenset({"a"}), (1, "b"))
    assert build(Rare, plain(made)) == made


@pytest.mark.parametrize(("name", "value"), [("span", "soon"), ("clock", "25:00"), ("unit", 0), ("bounded", {})])
def test_what_pydantic_refuses_is_a_misfit_too(name: str, value: object) -> None:
    with pytest.raises(MisfitException) as raised:
        build(Rare, {**RARE, name: value})

    assert raised.value.problems[0][0].startswith(name)
