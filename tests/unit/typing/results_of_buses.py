"""Proofs for type checkers: a message tells the type of its result. mypy and basedpyright read this file."""

from dataclasses import dataclass
from typing import assert_type

from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import ExecutionContext
from cqrs.decorators import command_handler, query_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.query.bus import DefaultQueryBus, QueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.types import Command, Query, message_type


@message_type("orders.CreateOrder")
@dataclass(frozen=True)
class CreateOrder(Command[str]):
    customer_id: str


@dataclass(frozen=True)
class CancelOrder(Command[None]):
    order_id: str


@dataclass(frozen=True)
class Order:
    order_id: str


@dataclass(frozen=True)
class GetOrder(Query[Order | None]):
    order_id: str


@publish_domain_event(destination="orders.events")
@command_handler(timeout=30, retries=2, backoff_ms=500)
class CreateOrderHandler(CommandHandler[CreateOrder, str]):
    async def do_handle(self, command: CreateOrder) -> str:
        return command.customer_id

    async def post_process(self, command: CreateOrder, result: str) -> None:
        assert_type(result, str)

    def map_error(self, command: CreateOrder, error: Exception) -> Exception:
        return error


@command_handler
class CancelOrderHandler(ContextAwareCommandHandler[CancelOrder, None]):
    async def do_handle_with_context(self, command: CancelOrder, context: ExecutionContext) -> None:
        assert_type(context.user_id, str | None)


@query_handler(cacheable=True, cache_ttl=300)
class GetOrderHandler(QueryHandler[GetOrder, Order | None]):
    async def do_handle(self, query: GetOrder) -> Order | None:
        return Order(query.order_id)


@query_handler
class GetOwnOrderHandler(ContextAwareQueryHandler[GetOrder, Order | None]):
    async def do_handle_with_context(self, query: GetOrder, context: ExecutionContext) -> Order | None:
        return None


async def results(
    commands: DefaultCommandBus, queries: DefaultQueryBus, context: ExecutionContext, registry: HandlerRegistry
) -> None:
    """Ask every door of both buses."""
    assert_type(await commands.send(CreateOrder("c")), str)
    assert_type(await commands.send_with_context(CreateOrder("c"), context), str)
    assert_type(await commands.send(CancelOrder("o")), None)
    assert_type(await queries.query(GetOrder("o")), Order | None)
    assert_type(await queries.query_with_context(GetOrder("o"), context), Order | None)
    assert_type(await registry.find_command_handler(CreateOrder).handle(CreateOrder("c")), str)
    assert_type(await registry.find_query_handler(GetOrder).handle(GetOrder("o")), Order | None)


async def through_the_ports(commands: CommandBus, queries: QueryBus) -> None:
    """Ask the protocols."""
    assert_type(await commands.send(CreateOrder("c")), str)
    assert_type(await queries.query(GetOrder("o")), Order | None)


def decorators_keep_the_class(registry: HandlerRegistry) -> None:
    """Build and register handlers."""
    assert_type(CreateOrderHandler(), CreateOrderHandler)
    assert_type(CreateOrderHandler().get_command_type(), type[CreateOrder])
    assert_type(GetOrderHandler().get_query_type(), type[GetOrder])
    assert_type(CreateOrder("c").customer_id, str)
    registry.register_command_handler(CreateOrderHandler())
    registry.register_query_handler(GetOrderHandler())


def the_defaults_fit(registry: HandlerRegistry) -> tuple[CommandBus, QueryBus]:
    """Use the default buses as the ports."""
    return DefaultCommandBus(registry=registry), DefaultQueryBus(registry=registry)
