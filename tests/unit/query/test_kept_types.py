from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import pytest
from pydantic import BaseModel

from cqrs.command.registry import AnyQueryHandler, HandlerRegistry, Registration
from cqrs.decorators import query_handler
from cqrs.query.handler import QueryHandler
from cqrs.query.kept_types import kept_types
from cqrs.types import Query

T = TypeVar("T")


@dataclass
class Line:
    sku: str


@dataclass
class View:
    lines: list[Line]


@dataclass
class Page(Generic[T]):
    items: list[T]


class Model(BaseModel):
    view: View


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int


class Row(TypedDict):
    x: int


def registered(result: Any, *, cacheable: bool = True) -> list[Registration[AnyQueryHandler]]:
    class Ask(Query[result]):
        pass

    @query_handler(cacheable=cacheable)
    class Handler(QueryHandler[Ask, result]):
        async def do_handle(self, query: Ask) -> object:
            raise NotImplementedError

    registry = HandlerRegistry()
    registry.register_query_handler(Handler())
    return registry.query_registrations()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (View, {View}),
        (View | None, {View}),
        (list[View], {View}),
        (dict[Colour, tuple[Model, ...]], {Colour, Model}),
        (Page[View], {Page, View}),
        (list[Point | None], {Point}),
        (Row, set()),
        (str, set()),
        (None, set()),
        (Callable[[View], Line], {Line}),
        (object, set()),
        (Any, set()),
    ],
    ids=lambda value: str(sorted(map(str, value)) if isinstance(value, set) else value),
)
def test_the_classes_of_a_result_are_found_wherever_they_stand(result: Any, expected: set[type]) -> None:
    assert kept_types(registered(result)) == expected


def test_only_cacheable_queries_count() -> None:
    assert kept_types([*registered(View, cacheable=False), *registered(Model)]) == {Model}


def test_the_handler_may_promise_more_than_the_query() -> None:
    class Ask(Query[object]):
        pass

    @query_handler(cacheable=True)
    class Handler(QueryHandler[Ask, View]):
        async def do_handle(self, query: Ask) -> View:
            return View([])

    registry = HandlerRegistry()
    registry.register_query_handler(Handler())
    assert kept_types(registry.query_registrations()) == {View}
