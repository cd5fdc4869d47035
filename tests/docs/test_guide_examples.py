"""Every code example of the guide, in its order, runs as printed but for the package's name.

A fragment gets the smallest surroundings: the names that it takes for granted. Two differences are Python's own: a line
that is only a decorator is given a class to decorate, and the registry's example, which calls a command handler and a
query handler by the one name `handler`, is run in two parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.container import Container, service
from cqrs.context.execution_context import DefaultExecutionContext
from cqrs.decorators import command_handler, handler_options
from cqrs.event.eda import EventEnvelope, EventPublisher, InProcessEventPublisher
from cqrs.event.emission import emit
from cqrs.event.publisher import CommandEventPublisher
from cqrs.exceptions import CommandHandlerNotFoundException
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult
from tests.docs.guide_examples import Examples, block, blocks

ORDER = {"order_id": "ord-123", "status": "ACTIVE"}


@dataclass(frozen=True)
class CreateOrderCommand(Command[str]):
    customer_id: str
    items: list[str]
    total: float


@dataclass(frozen=True)
class GetOrderQuery(Query[dict[str, object] | None]):
    order_id: str


class CreateOrderHandler(CommandHandler[CreateOrderCommand, str]):
    sent: CreateOrderCommand

    async def do_handle(self, command: CreateOrderCommand) -> str:
        self.sent = command
        return "ord-1"


class GetOrderHandler(QueryHandler[GetOrderQuery, dict[str, object] | None]):
    async def do_handle(self, query: GetOrderQuery) -> dict[str, object] | None:
        return {**ORDER, "order_id": query.order_id}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Examples:
    return Examples(monkeypatch)


@pytest.fixture
def handlers() -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_command_handler(CreateOrderHandler())
    registry.register_query_handler(GetOrderHandler())
    return registry


def test_every_block_is_run_here_or_among_the_whole_programs() -> None:
    texts = [
        (Path(__file__).parent / name).read_text("utf-8")
        for name in ("test_guide_examples.py", "test_guide_programs.py")
    ]
    named = set(re.findall(r'block\("([^"]+)"', "".join(texts)))

    assert len(blocks()) == 28
    assert {heading for heading, _ in blocks()} == named


@pytest.mark.asyncio
async def test_commands(examples: Examples) -> None:
    module = await examples.run(block("Commands"))

    command = module.CreateOrderCommand(customer_id="c", items=["A"], total=1.0)
    assert command.get_correlation_id() is None
    assert (await command.validate()).valid


@pytest.mark.asyncio
async def test_queries(examples: Examples) -> None:
    module = await examples.run(block("Queries"))

    assert re.fullmatch(r"GetOrderQuery:[0-9a-f]{16}", module.GetOrderQuery(order_id="o").get_cache_key())
    assert module.GetOrderQuery("o").get_cache_key() == module.GetOrderQuery("o").get_cache_key()


class Order:
    def __init__(self, customer_id: str, items: list[str]) -> None:
        self.text = f"{customer_id}: {', '.join(items)}"


class OrderRepository:
    async def save(self, order: Order) -> str:
        return f"saved {order.text}"

    async def find_by_id(self, order_id: str) -> dict[str, object] | None:
        return {"order_id": order_id}


@pytest.mark.asyncio
async def test_command_handlers_are_wired_by_their_constructors(examples: Examples) -> None:
    names = {"CreateOrderCommand": CreateOrderCommand, "OrderRepository": OrderRepository, "Order": Order}
    module = await examples.run(block("Command Handlers"), **names)

    async with Container(services=[module.CreateOrderHandler, OrderRepository]) as container:
        handler = await container.get(module.CreateOrderHandler)
    assert await handler.handle(CreateOrderCommand("c", ["A", "B"], 1.0)) == "saved c: A, B"


@pytest.mark.asyncio
async def test_context_aware_command_handler(examples: Examples) -> None:
    class TransferFundsCommand(Command[str]):
        pass

    names = {"command_handler": command_handler, "service": service, "TransferFundsCommand": TransferFundsCommand}
    module = await examples.run(block("ContextAwareCommandHandler"), **names)
    handler, command = module.TransferFundsHandler(), TransferFundsCommand()

    with pytest.raises(RuntimeError, match="TransferFundsHandler requires an ExecutionContext"):
        await handler.handle(command)
    context = DefaultExecutionContext(user_id="u-1")
    assert await handler.handle_with_context(command, context) == "transfer-for-u-1"


@pytest.mark.asyncio
async def test_query_handlers(examples: Examples) -> None:
    names = {"GetOrderQuery": GetOrderQuery, "OrderRepository": OrderRepository}
    module = await examples.run(block("Query Handlers"), **names)

    handler = module.GetOrderHandler(OrderRepository())
    assert await handler.handle(GetOrderQuery("o")) == {"order_id": "o"}
    assert (handler.supports_caching(), handler.get_cache_ttl_seconds()) == (True, 300)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "options"),
    [
        (block("@command_handler"), {"timeout": 30, "retries": 2, "backoff_ms": 500}),
        (block("@query_handler"), {"cacheable": True, "cache_ttl": 600, "cache_key_prefix": "orders"}),
    ],
    ids=["command_handler", "query_handler"],
)
async def test_handler_decorators(examples: Examples, code: str, options: Mapping[str, object]) -> None:
    bare, parameterized = re.findall(r"^@.*$", code, flags=re.MULTILINE)
    code = code.replace(bare, f"{bare}\nclass Bare: ...\n").replace(
        parameterized, f"{parameterized}\nclass Parameterized: ...\n"
    )
    module = await examples.run(code)

    told = handler_options(module.Parameterized)
    assert {name: getattr(told, name) for name in options} == options
    assert handler_options(module.Bare).kind is told.kind is not None


@pytest.mark.asyncio
async def test_default_command_bus(examples: Examples) -> None:
    handler = CreateOrderHandler()
    names = {"CreateOrderCommand": CreateOrderCommand, "create_order_handler": handler}
    module = await examples.run(block("DefaultCommandBus"), **names)

    assert module.order_id == "ord-1"
    assert handler.sent == CreateOrderCommand("cust-1", ["A"], 9.99)


@pytest.mark.asyncio
async def test_default_query_bus(examples: Examples, handlers: HandlerRegistry) -> None:
    module = await examples.run(block("DefaultQueryBus"), registry=handlers, GetOrderQuery=GetOrderQuery)

    assert module.order == ORDER


@pytest.mark.asyncio
async def test_handler_registry(examples: Examples) -> None:
    code = block("Handler Registry")
    query_line = "registry.register_query_handler(handler)\n"
    command_lines = code.replace(query_line, "")
    handler = CreateOrderHandler()
    names: dict[str, object] = {"handler": handler, "CreateOrderCommand": CreateOrderCommand}
    module = await examples.run(command_lines, **names)

    assert module.handler is handler
    await examples.run(query_line, registry=module.registry, handler=GetOrderHandler())
    assert module.registry.has_query_handler(GetOrderQuery)
    with pytest.raises(CommandHandlerNotFoundException):  # "raises if missing"
        await examples.run(command_lines.replace("registry.register_command_handler(handler)\n", ""), **names)


MESSAGES = {"dataclass": dataclass, "Command": Command, "ValidationResult": ValidationResult}


async def send(command: Command[Any], result: object) -> object:
    class Handler(CommandHandler[Any, Any]):
        def get_command_type(self) -> type[Any]:
            return type(command)

        async def do_handle(self, command: Command[Any]) -> object:
            return result

    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(Handler())
    return await bus.send(command)


@pytest.mark.asyncio
async def test_validation(examples: Examples) -> None:
    module = await examples.run(block("Validation"), **MESSAGES)

    assert await send(module.CreateOrderCommand(customer_id="c", total=1.0), "ord-1") == "ord-1"
    with pytest.raises(CqrsValidationException, match="total: Must be positive"):
        await send(module.CreateOrderCommand(customer_id="c", total=0), "ord-1")


@pytest.mark.asyncio
async def test_authorization(examples: Examples) -> None:
    imported = await examples.run(block("Authorization", 0))
    names = {**MESSAGES, "AuthorizationResult": imported.AuthorizationResult}
    module = await examples.run(block("Authorization", 1), **names)

    assert imported.AuthorizationError("order", "no").severity is imported.AuthorizationSeverity.ERROR
    assert await send(module.DeleteOrderCommand(order_id="o", requested_by="admin"), True) is True
    with pytest.raises(AuthorizationException, match="order: Only admins can delete orders"):
        await send(module.DeleteOrderCommand(order_id="o", requested_by="u-1"), True)


@pytest.mark.asyncio
async def test_execution_context(examples: Examples, handlers: HandlerRegistry) -> None:
    seen: list[object] = []

    class Watched(CreateOrderCommand):
        async def authorize_with_context(self, ctx: object) -> AuthorizationResult:
            seen.append(ctx)
            return AuthorizationResult.success()

    class WatchedHandler(CreateOrderHandler):
        def get_command_type(self) -> type[CreateOrderCommand]:
            return Watched

    bus = DefaultCommandBus(registry=handlers)
    bus.register_handler(WatchedHandler())
    module = await examples.run(block("Execution Context"), command_bus=bus, command=Watched("c", [], 1.0))

    assert (module.order_id, seen) == ("ord-1", [module.ctx])
    assert (module.ctx.user_id, module.ctx.tenant_id) == ("user-42", "tenant-a")
    assert module.ctx.get_feature_flag("new-checkout") is True


@pytest.mark.asyncio
async def test_caching(examples: Examples) -> None:
    cache = MemoryCacheAdapter()
    adapter: QueryCacheAdapter = (await examples.run(block("Caching"), my_cache_instance=cache)).adapter

    await adapter.put("k", 1, timedelta(seconds=5))
    assert (adapter.is_available, await adapter.get("k"), await cache.get(":cqrs:k")) == (True, 1, 1)
    await DefaultQueryBus(HandlerRegistry(), cache_adapter=adapter).clear_cache("k")
    assert await adapter.get("k") is None


@pytest.mark.asyncio
async def test_eda_driven_cache_invalidation(examples: Examples) -> None:
    adapter = QueryCacheAdapter(MemoryCacheAdapter())
    bridge = EdaCacheInvalidationBridge(adapter)
    code = block("EDA-driven cache invalidation")
    await examples.run(code, bridge=bridge)
    for key in ("order:1", "order:2", "customer:1"):
        await adapter.put(key, "kept")

    await bridge.on_envelope(EventEnvelope("order.updated", {"order_id": 1}))
    await bridge.on_envelope(EventEnvelope("customer.profile-changed", {"customer_id": 1}))

    assert [await adapter.get(key) for key in ("order:1", "order:2", "customer:1")] == [None, "kept", None]
    assert (await examples.run(code, bridge=None)).bridge is None  # "None when EDA is not configured"


@dataclass(frozen=True)
class OrderCreated:
    order_id: str


class Emitting(CreateOrderHandler):
    async def do_handle(self, command: CreateOrderCommand) -> str:
        emit(OrderCreated("ord-1"))
        return "ord-1"


@pytest.mark.asyncio
async def test_domain_events(examples: Examples) -> None:
    imported = await examples.run(block("Domain Events", 0))
    assert isinstance(imported.NoOpEventPublisher(), imported.CommandEventPublisher)

    events, heard = InProcessEventPublisher(), list[EventEnvelope]()
    events.subscribe("*", heard.append)
    registry = HandlerRegistry()
    registry.register_command_handler(Emitting())
    names = {"eda_publisher": events, "registry": registry, "DefaultCommandBus": DefaultCommandBus}
    module = await examples.run(block("Domain Events", 1), **names)
    await module.bus.send(CreateOrderCommand("c", [], 1.0))

    (envelope,) = heard
    assert isinstance(events, EventPublisher)
    assert (envelope.destination, envelope.event_type, envelope.payload) == (
        "cqrs.events",
        "OrderCreated",
        {"order_id": "ord-1"},
    )


@pytest.mark.asyncio
async def test_publish_domain_event_decorator(examples: Examples) -> None:
    names = {"CommandHandler": CommandHandler, "CreateOrderCommand": CreateOrderCommand, "OrderId": str}
    module = await examples.run(block("@publish_domain_event decorator"), **names)
    assert module.CreateOrderHandler.__pyfly_publish_event__ is True
    assert module.CreateOrderHandler.__pyfly_event_destination__ == "orders.events"

    class Publisher(CommandEventPublisher):
        def __init__(self) -> None:
            self.destinations: list[str | None] = []

        async def publish(self, event: object, *, destination: str | None = None) -> None:
            self.destinations.append(destination)

    class Publishing(Emitting, module.CreateOrderHandler):  # type: ignore[misc, name-defined]
        pass

    publisher = Publisher()
    bus = DefaultCommandBus(registry=HandlerRegistry(), event_publisher=publisher)
    bus.register_handler(Publishing())
    await bus.send(CreateOrderCommand("c", [], 1.0))
    assert publisher.destinations == ["orders.events"]


@pytest.mark.asyncio
async def test_command_builder(examples: Examples) -> None:
    handler = CreateOrderHandler()
    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(handler)
    module = await examples.run(block("CommandBuilder"), command_bus=bus, CreateOrderCommand=CreateOrderCommand)

    assert module.result == "ord-1"
    assert handler.sent == CreateOrderCommand("cust-1", ["A"], 29.99)
    assert (handler.sent.get_correlation_id(), handler.sent.get_initiated_by()) == ("req-abc", "user-42")


@pytest.mark.asyncio
async def test_query_builder(examples: Examples, handlers: HandlerRegistry) -> None:
    names = {"query_bus": DefaultQueryBus(registry=handlers), "GetOrderQuery": GetOrderQuery}
    assert (await examples.run(block("QueryBuilder"), **names)).order == ORDER
