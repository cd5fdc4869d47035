from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import assert_type

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.fluent.command_builder import CommandBuilder
from cqrs.fluent.query_builder import QueryBuilder
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query


@dataclass(frozen=True)
class CreateOrder(Command[str]):
    customer_id: str
    items: list[str]
    total: float = 0.0
    computed: int = field(default=7, init=False)


@dataclass(frozen=True)
class GetOrder(Query[dict[str, str] | None]):
    order_id: str


class Rename(BaseModel, Command[bool]):  # type: ignore[misc]  # BaseModel has a deprecated validate of its own
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    order_id: str = Field(alias="orderId")


class Positional(Command[int]):
    def __init__(self, first: int, *, second: int = 2) -> None:
        self.both = (first, second)


class Anything(Command[None]):
    def __init__(self, **values: int) -> None:
        self.values = values


class Bare(Command[None]):
    pass


class CreateOrderHandler(CommandHandler[CreateOrder, str]):
    async def do_handle(self, command: CreateOrder) -> str:
        return f"{command.customer_id} by {command.get_initiated_by()} under {command.get_correlation_id()}"


class GetOrderHandler(QueryHandler[GetOrder, dict[str, str] | None]):
    async def do_handle(self, query: GetOrder) -> dict[str, str] | None:
        return {"order_id": query.order_id}


@pytest.mark.asyncio
async def test_a_command_is_built_and_sent_and_its_result_has_its_own_type() -> None:
    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(CreateOrderHandler())
    result = await (
        CommandBuilder.create(CreateOrder)
        .with_field("customer_id", "cust-1")
        .with_field("items", ["A"])
        .with_field("total", 29.99)
        .correlated_by("req-abc")
        .initiated_by("user-42")
        .execute_with(bus)
    )
    assert_type(result, str)
    assert result == "cust-1 by user-42 under req-abc"


@pytest.mark.asyncio
async def test_a_query_is_built_and_asked_and_its_answer_has_its_own_type() -> None:
    bus = DefaultQueryBus(registry=HandlerRegistry())
    bus.register_handler(GetOrderHandler())
    order = await QueryBuilder.create(GetOrder).with_field("order_id", "ord-123").cached(True).execute_with(bus)
    assert_type(order, dict[str, str] | None)
    assert order == {"order_id": "ord-123"}


def test_everything_of_a_command_is_set() -> None:
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    command = (
        CommandBuilder.create(CreateOrder)
        .with_fields(customer_id="c", items=["A"])
        .correlated_by("req")
        .initiated_by("user")
        .at(moment)
        .with_metadata("channel", "web")
        .build()
    )
    assert_type(command, CreateOrder)
    assert command == CreateOrder("c", ["A"])
    assert command.get_correlation_id() == "req"
    assert command.get_initiated_by() == "user"
    assert command.get_timestamp() == moment
    assert command.get_timestamp().tzinfo is UTC
    assert command.get_metadata() == {"channel": "web"}


def test_everything_of_a_query_is_set() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    builder = QueryBuilder.create(GetOrder).with_fields(order_id="o").correlated_by("req").at(moment)
    query = builder.with_metadata("k", 1).cached(False).with_cache_key("mine").build()
    assert_type(query, GetOrder)
    assert (query.get_correlation_id(), query.get_timestamp(), query.get_metadata()) == ("req", moment, {"k": 1})
    assert (query.is_cacheable(), query.get_cache_key()) == (False, "mine")


def test_what_was_not_said_stays_as_the_message_has_it() -> None:
    command = CommandBuilder.create(CreateOrder).with_fields(customer_id="c", items=[]).build()
    assert (command.get_correlation_id(), command.get_initiated_by(), command.get_metadata()) == (None, None, {})
    query = QueryBuilder.create(GetOrder).with_field("order_id", "o").build()
    assert query.is_cacheable()
    assert query.get_cache_key() == GetOrder("o").get_cache_key()


def test_a_builder_builds_again_and_each_message_is_its_own() -> None:
    builder = CommandBuilder.create(CreateOrder).with_fields(customer_id="c", items=[])
    first, second = builder.build(), builder.with_field("total", 1.0).build()
    assert (first.total, second.total) == (0.0, 1.0)
    assert first.get_command_id() != second.get_command_id()


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        (CreateOrder, "custmer_id", "CreateOrder has no field 'custmer_id'; did you mean 'customer_id'?"),
        (CreateOrder, "xyz", "CreateOrder has no field 'xyz'; it has customer_id, items, total."),
        (CreateOrder, "computed", "CreateOrder has no field 'computed'"),
        (Rename, "orderIdd", "did you mean 'orderId'?"),
        (Positional, "third", "it has first, second."),
        (Bare, "x", "Bare has no field 'x'; it has none."),
    ],
)
def test_an_unknown_field_is_an_error_at_once_that_names_the_near_miss(
    kind: type[Command[object]], name: str, hint: str
) -> None:
    with pytest.raises(TypeError) as refused:
        CommandBuilder.create(kind).with_fields(**{name: 1})
    assert hint in str(refused.value)


def test_fields_are_known_for_models_plain_classes_and_those_that_take_any() -> None:
    assert CommandBuilder.create(Rename).with_field("orderId", "o").build().order_id == "o"
    assert CommandBuilder.create(Rename).with_field("order_id", "o").build().order_id == "o"
    assert CommandBuilder.create(Positional).with_fields(first=1, second=3).build().both == (1, 3)
    assert CommandBuilder.create(Anything).with_field("whatever", 1).build().values == {"whatever": 1}
    assert isinstance(CommandBuilder.create(Bare).build(), Bare)


def test_what_the_constructor_refuses_is_refused() -> None:
    with pytest.raises(TypeError, match="customer_id"):
        CommandBuilder.create(CreateOrder).with_field("items", []).build()
    with pytest.raises(ValidationError):
        CommandBuilder.create(Rename).with_field("orderId", 3).build()
    with pytest.raises(ValueError, match="no timezone"):
        CommandBuilder.create(Bare).at(datetime(2026, 1, 1)).build()  # noqa: DTZ001


def test_a_query_with_a_key_of_its_own_takes_no_other() -> None:
    class Fixed(Query[int]):
        def get_cache_key(self) -> str:
            return "fixed"

    with pytest.raises(TypeError, match="overrides get_cache_key"):
        QueryBuilder.create(Fixed).with_cache_key("other").build()
    assert QueryBuilder.create(Fixed).with_cache_key("fixed").build().get_cache_key() == "fixed"
