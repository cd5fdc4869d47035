from dataclasses import dataclass
from typing import Protocol

import pytest

from cqrs.actuator.endpoint import CqrsMetricsEndpoint
from cqrs.actuator.health import CqrsHealthIndicator
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult
from cqrs.cache.adapter import MISSING, CacheAdapter, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.validation import CommandValidationService
from cqrs.config.auto_configuration import CqrsAutoConfiguration, auto_configuration
from cqrs.config.properties import (
    AuthorizationProperties,
    CqrsProperties,
    CustomAuthorizationProperties,
)
from cqrs.container import Container, service
from cqrs.decorators import command_handler, query_handler
from cqrs.event.eda import EventEnvelope, EventPublisher, InProcessEventPublisher
from cqrs.event.emission import emit
from cqrs.event.publisher import CommandEventPublisher, EdaCommandEventPublisher, NoOpEventPublisher
from cqrs.exceptions import ConfigurationException
from cqrs.query.bus import DefaultQueryBus, QueryBus
from cqrs.query.handler import QueryHandler
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import Command, Query
from cqrs.validation.processor import AutoValidationProcessor
from cqrs.validation.types import ValidationResult

GUIDE: tuple[type, ...] = (
    CqrsProperties,
    CorrelationContext,
    AutoValidationProcessor,
    CommandValidationService,
    CqrsMetricsService,
    AuthorizationService,
    HandlerRegistry,
    CommandEventPublisher,
    DefaultCommandBus,
    CommandBus,
    QueryCacheAdapter,
    DefaultQueryBus,
    QueryBus,
    CqrsMetricsEndpoint,
    CqrsHealthIndicator,
)


class Orders(Protocol):
    def all(self) -> dict[str, str]: ...


@service
class MemoryOrders(Orders):
    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        return self.rows


@dataclass(frozen=True)
class Create(Command[str]):
    order_id: str


@dataclass(frozen=True)
class Get(Query[str | None]):
    order_id: str

    def get_cache_key(self) -> str:
        return f"order:{self.order_id}"


@dataclass(frozen=True)
class Forbidden(Command[None]):
    async def authorize(self) -> AuthorizationResult:
        return AuthorizationResult.failure("order", "never")


@dataclass(frozen=True)
class Created:
    order_id: str
    event_type: str = "order.created"


@command_handler
@service
class CreateHandler(CommandHandler[Create, str]):
    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, command: Create) -> str:
        self._orders.all()[command.order_id] = "new"
        emit(Created(command.order_id))
        return command.order_id


@query_handler(cacheable=True, cache_ttl=60)
class GetHandler(QueryHandler[Get, str | None]):
    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, query: Get) -> str | None:
        return self._orders.all().get(query.order_id)


@command_handler
class ForbiddenHandler(CommandHandler[Forbidden, None]):
    async def do_handle(self, command: Forbidden) -> None: ...


HANDLERS = (CreateHandler, GetHandler, ForbiddenHandler, MemoryOrders)


def container(properties: CqrsProperties | None = None, **more: object) -> Container:
    return Container(defaults=[auto_configuration(properties or CqrsProperties())], **more)  # type: ignore[arg-type]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", GUIDE, ids=lambda kind: kind.__name__)
async def test_every_bean_of_the_guide_is_there_by_its_type(kind: type) -> None:
    assert isinstance(await container().get(kind), kind)


@pytest.mark.asyncio
async def test_the_ports_and_the_defaults_are_the_same_buses_on_one_registry() -> None:
    made = container()
    assert await made.get(CommandBus) is await made.get(DefaultCommandBus)
    assert await made.get(QueryBus) is await made.get(DefaultQueryBus)


@pytest.mark.asyncio
async def test_without_an_event_bus_nothing_is_published_and_there_is_no_bridge() -> None:
    made = container()
    assert isinstance(await made.get(CommandEventPublisher), NoOpEventPublisher)
    assert await made.find(EdaCacheInvalidationBridge) is None
    assert not (await made.get(QueryCacheAdapter)).is_available


@pytest.mark.asyncio
async def test_a_command_goes_through_injected_buses_and_its_event_makes_the_cached_answer_stale() -> None:
    events = InProcessEventPublisher()
    made = container(services=HANDLERS, instances={EventPublisher: events, CacheAdapter: MemoryCacheAdapter()})
    registry = await made.get(HandlerRegistry)
    registry.discover_from_beans(await made.start())
    commands, queries = await made.get(CommandBus), await made.get(QueryBus)
    bridge = await made.get(EdaCacheInvalidationBridge)
    bridge.register("order.created", "order:{order_id}")
    cache = await made.get(QueryCacheAdapter)

    assert isinstance(await made.get(CommandEventPublisher), EdaCommandEventPublisher)
    assert await queries.query(Get("o-1")) is None
    assert await cache.lookup("order:o-1") is not MISSING
    assert await commands.send(Create("o-1")) == "o-1"
    assert await cache.lookup("order:o-1") is MISSING
    assert await queries.query(Get("o-1")) == "new"
    assert (await made.get(CqrsHealthIndicator)).health() == {
        "status": "UP",
        "details": {"command_handlers": 2, "query_handlers": 1},
    }


@pytest.mark.asyncio
async def test_its_methods_can_be_called_by_hand_and_take_what_is_optional_as_absent() -> None:
    beans = CqrsAutoConfiguration()
    registry, properties = beans.handler_registry(), beans.cqrs_properties()
    common = {
        "registry": registry,
        "validation": beans.command_validation_service(beans.auto_validation_processor()),
        "authorization": beans.authorization_service(properties),
        "metrics": beans.cqrs_metrics_service(),
    }
    commands = beans.command_bus(**common, event_publisher=beans.command_event_publisher())  # type: ignore[arg-type]
    queries = beans.query_bus(**common, cache_adapter=beans.query_cache_adapter())  # type: ignore[arg-type]
    registry.discover_from_beans([CreateHandler(MemoryOrders()), GetHandler(MemoryOrders())])

    assert await commands.send(Create("o-1")) == "o-1"
    assert await queries.query(Get("o-2")) is None
    assert beans.eda_cache_invalidation_bridge(beans.query_cache_adapter()) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "authorization",
    [
        AuthorizationProperties(enabled=False),
        AuthorizationProperties(custom=CustomAuthorizationProperties(enabled=False)),
    ],
)
async def test_the_properties_reach_the_beans(authorization: AuthorizationProperties) -> None:
    made = container(CqrsProperties(authorization=authorization), services=HANDLERS)
    (await made.get(HandlerRegistry)).discover_from_beans(await made.start())
    await (await made.get(CommandBus)).send(Forbidden())


@pytest.mark.asyncio
async def test_a_service_that_extends_a_bean_replaces_it_for_everybody() -> None:
    @service
    class Strict(AutoValidationProcessor):
        async def validate(self, message: object) -> ValidationResult:
            return ValidationResult.failure("all", "refused")

    @service
    class Recording(CommandEventPublisher):
        async def publish(self, event: object, *, destination: str | None = None) -> None: ...

    made = container(services=[Strict, Recording])
    validation = await made.get(CommandValidationService)
    with pytest.raises(Exception, match="all: refused"):
        await validation.validate_command(Create("o"))
    assert isinstance(await made.get(CommandEventPublisher), Recording)


@pytest.mark.asyncio
async def test_switched_off_only_the_properties_are_left() -> None:
    made = container(CqrsProperties(enabled=False))
    assert (await made.get(CqrsProperties)).enabled is False
    assert await made.find(CommandBus) is None

    @service
    class Sender:
        def __init__(self, bus: CommandBus) -> None: ...

    with pytest.raises(ConfigurationException, match=r"Sender\(bus: CommandBus\): nothing provides CommandBus"):
        container(CqrsProperties(enabled=False), services=[Sender])


@pytest.mark.asyncio
async def test_with_a_cache_alone_the_bridge_is_there_for_whoever_brings_events() -> None:
    made = container(instances={CacheAdapter: MemoryCacheAdapter()})
    bridge, cache = await made.get(EdaCacheInvalidationBridge), await made.get(QueryCacheAdapter)
    bridge.register("order.updated", "order:{order_id}")
    await cache.put("order:1", "old")
    await bridge.on_envelope(EventEnvelope("order.updated", {"order_id": 1}))
    assert await cache.lookup("order:1") is MISSING
