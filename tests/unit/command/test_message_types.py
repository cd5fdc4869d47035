"""The message type is told from the class, however the class came about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest

from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.message_types import checkable, type_argument
from cqrs.context.execution_context import ExecutionContext
from cqrs.exceptions import ConfigurationException
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.types import Command, Query

C = TypeVar("C", bound=Command[Any])
R = TypeVar("R")
T = TypeVar("T")
OrderId = NewType("OrderId", str)


@dataclass(frozen=True)
class Create(Command[str]):
    x: int = 1


@dataclass(frozen=True)
class Find(Query[dict[str, int] | None]):
    x: int = 1


class Direct(CommandHandler[Create, str]):
    def __init__(self, repository: object) -> None:  # does not call super().__init__()
        self.repository = repository

    async def do_handle(self, command: Create) -> str:
        return "direct"


class FromConcrete(Direct):
    async def do_handle(self, command: Create) -> str:
        return "below"


class Generically(CommandHandler[C, R], Generic[R, C]):
    async def do_handle(self, command: C) -> R:
        raise NotImplementedError


class FromGeneric(Generically[str, Create]):
    pass


class Half(Generically[R, Create]):
    pass


class FromHalf(Half[str]):
    pass


class Mixin:
    pass


class WithMixin(Mixin, Generically[str, Create]):
    pass


class ByName(CommandHandler["Create", str]):
    async def do_handle(self, command: "Create") -> str:
        return ""


class ByAnnotation(CommandHandler):  # type: ignore[type-arg]
    async def do_handle(self, command: Create) -> str:
        return ""


class Aware(ContextAwareCommandHandler[Create, str]):
    async def do_handle_with_context(self, command: Create, context: ExecutionContext) -> str:
        return ""


class AwareByAnnotation(ContextAwareCommandHandler):  # type: ignore[type-arg]
    async def do_handle_with_context(self, command: Create, context: ExecutionContext) -> str:
        return ""


class Telling(CommandHandler[Any, Any]):
    async def do_handle(self, command: Any) -> Any:
        return ""

    def get_command_type(self) -> type[Create]:
        return Create


@pytest.mark.parametrize(
    "handler",
    [
        Direct(None),
        FromConcrete(None),
        FromGeneric(),
        FromHalf(),
        WithMixin(),
        ByName(),
        ByAnnotation(),
        Aware(),
        AwareByAnnotation(),
        Telling(),
        Generically[str, Create](),
    ],
    ids=lambda handler: type(handler).__name__,
)
def test_the_command_type_is_told_from_the_class(handler: CommandHandler[Any, Any]) -> None:
    assert handler.get_command_type() is Create


def test_the_query_type_is_told_from_the_class() -> None:
    class Finds(QueryHandler[Find, dict[str, int] | None]):
        async def do_handle(self, query: Find) -> dict[str, int] | None:
            return None

    class FindsFor(ContextAwareQueryHandler[Find, dict[str, int] | None]):
        async def do_handle_with_context(self, query: Find, context: ExecutionContext) -> dict[str, int] | None:
            return None

    assert Finds().get_query_type() is Find
    assert FindsFor().get_query_type() is Find


class Untyped(CommandHandler):  # type: ignore[type-arg]
    async def do_handle(self, command):  # type: ignore[no-untyped-def]
        return ""


class OfNoCommand(CommandHandler[int, str]):  # type: ignore[type-var]
    async def do_handle(self, command: int) -> str:
        return ""


class OfAll(CommandHandler[Command[str], str]):
    async def do_handle(self, command: Command[str]) -> str:
        return ""


class OnlyForTypeCheckers(CommandHandler):  # type: ignore[type-arg]
    async def do_handle(self, command: "Unknown") -> str:  # type: ignore[name-defined]  # noqa: F821
        return ""


@pytest.mark.parametrize("handler", [Untyped(), OfNoCommand(), OfAll(), OnlyForTypeCheckers(), Generically()])
def test_a_type_that_cannot_be_told_is_an_error_with_what_to_try(handler: CommandHandler[Any, Any]) -> None:
    with pytest.raises(ConfigurationException) as refused:
        handler.get_command_type()
    problem = refused.value.problems[0]
    assert type(handler).__name__ in problem
    assert "(CommandHandler[M, Result]), M being a subclass of Command" in problem


def test_the_result_type_is_told_from_the_message() -> None:
    class Base(Command[T]):
        pass

    class Made(Base[int]):
        pass

    class MadeTwice(Made):
        pass

    assert type_argument(Create, Command, 0) is str
    assert type_argument(Made, Command, 0) is int
    assert type_argument(MadeTwice, Command, 0) is int
    assert type_argument(Base, Command, 0) is None


class Duck(Protocol):
    def quack(self) -> None: ...


class Row(TypedDict):
    x: int


@pytest.mark.parametrize(
    ("declared", "kinds"),
    [
        (str, (str,)),
        (None, (type(None),)),
        (OrderId, (str,)),
        (dict[str, int], (dict,)),
        (list[OrderId] | None, (list, type(None))),
        (int | float, (int, float, int)),
        (float, (float, int)),
        (complex, (complex, float, int)),
        (Create, (Create,)),
        (Mapping[str, int], (Mapping,)),
        (Row, (dict,)),
    ],
)
def test_a_concrete_result_type_can_be_checked(declared: object, kinds: tuple[type, ...]) -> None:
    found = checkable(declared)
    assert found is not None
    assert len(found) == len(kinds)
    assert all(isinstance(a, type) and a.__name__ == b.__name__ for a, b in zip(found, kinds, strict=True))


@pytest.mark.parametrize("declared", [Any, object, T, Duck, Literal["a"], str | T, "str"])
def test_what_cannot_be_told_is_not_checked(declared: object) -> None:
    assert checkable(declared) is None
