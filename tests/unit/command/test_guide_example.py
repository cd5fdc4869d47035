"""The guide's complete example and its testing section, as printed but for the package's name."""

from dataclasses import dataclass

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.container import service
from cqrs.context.execution_context import ExecutionContextBuilder
from cqrs.decorators import command_handler, query_handler
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult

# -- Messages --


@dataclass(frozen=True)
class CreateOrderCommand(Command[str]):
    customer_id: str
    items: list[str]
    total: float

    async def validate(self) -> ValidationResult:
        if self.total <= 0:
            return ValidationResult.failure("total", "Must be positive")
        return ValidationResult.success()


@dataclass(frozen=True)
class CancelOrderCommand(Command[bool]):
    order_id: str
    reason: str

    async def authorize(self) -> AuthorizationResult:
        if not self.reason:
            return AuthorizationResult.failure("order", "Reason required")
        return AuthorizationResult.success()


@dataclass(frozen=True)
class GetOrderQuery(Query[dict | None]):  # type: ignore[type-arg]
    order_id: str


# -- Handlers --


@command_handler
@service
class CreateOrderHandler(CommandHandler[CreateOrderCommand, str]):
    async def do_handle(self, command: CreateOrderCommand) -> str:
        return "ord-new-123"


@command_handler
@service
class CancelOrderHandler(CommandHandler[CancelOrderCommand, bool]):
    async def do_handle(self, command: CancelOrderCommand) -> bool:
        return True


@query_handler(cacheable=True, cache_ttl=300)
@service
class GetOrderHandler(QueryHandler[GetOrderQuery, dict | None]):  # type: ignore[type-arg]
    async def do_handle(self, query: GetOrderQuery) -> dict | None:  # type: ignore[type-arg]
        return {"order_id": query.order_id, "status": "ACTIVE"}


# -- Wiring --

registry = HandlerRegistry()
registry.register_command_handler(CreateOrderHandler())
registry.register_command_handler(CancelOrderHandler())
registry.register_query_handler(GetOrderHandler())

command_bus_of_example = DefaultCommandBus(registry=registry)
query_bus = DefaultQueryBus(registry=registry)


# -- Usage --


@pytest.mark.asyncio
async def test_the_complete_example() -> None:
    order_id = await command_bus_of_example.send(
        CreateOrderCommand(customer_id="cust-42", items=["widget"], total=19.99)
    )
    ctx = ExecutionContextBuilder().with_user_id("cust-42").with_tenant_id("acme").build()
    order = await query_bus.query_with_context(GetOrderQuery(order_id=order_id), ctx)
    assert order == {"order_id": "ord-new-123", "status": "ACTIVE"}
    assert await command_bus_of_example.send(CancelOrderCommand(order_id=order_id, reason="Changed my mind")) is True


# -- Testing CQRS components --


@pytest.mark.asyncio
async def test_create_order_handler() -> None:
    handler = CreateOrderHandler()
    result = await handler.do_handle(CreateOrderCommand(customer_id="test", items=["A"], total=9.99))
    assert isinstance(result, str)


@pytest.fixture
def command_bus() -> DefaultCommandBus:
    registry = HandlerRegistry()
    registry.register_command_handler(CreateOrderHandler())
    return DefaultCommandBus(registry=registry)


@pytest.mark.asyncio
async def test_send_through_bus(command_bus: DefaultCommandBus) -> None:
    result = await command_bus.send(CreateOrderCommand(customer_id="test", items=["A"], total=9.99))
    assert result is not None


@pytest.mark.asyncio
async def test_validation_rejects_zero_total() -> None:
    result = await CreateOrderCommand(customer_id="t", items=["A"], total=0).validate()
    assert not result.valid


@pytest.mark.asyncio
async def test_cancel_without_reason_denied() -> None:
    result = await CancelOrderCommand(order_id="o", reason="").authorize()
    assert not result.authorized


# -- What the guide implies: the same messages are refused on the buses of the example --


@pytest.mark.asyncio
async def test_invalid_and_denied_commands_are_refused() -> None:
    with pytest.raises(CqrsValidationException, match="total: Must be positive"):
        await command_bus_of_example.send(CreateOrderCommand(customer_id="t", items=["A"], total=0))
    with pytest.raises(AuthorizationException, match="order: Reason required"):
        await command_bus_of_example.send(CancelOrderCommand(order_id="o", reason=""))
