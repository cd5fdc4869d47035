"""The contestants that are ours: the buses with more and more switched on, and the handlers called directly."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from opentelemetry.sdk.trace import TracerProvider

from benchmarks.bus.worker import Contestant
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult
from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.validation import CommandValidationService
from cqrs.decorators import command_handler, query_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.event.publisher import NoOpEventPublisher
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.telemetry.correlation_processor import CorrelationSpanProcessor
from cqrs.telemetry.metrics import PrometheusMetrics
from cqrs.telemetry.tracer import OpenTelemetryTracer
from cqrs.types import Command, Query
from cqrs.validation.types import ValidationResult

C = TypeVar("C", bound=Command[object])


@dataclass(frozen=True)
class PlaceOrder(Command[str]):
    """Be the command of every contestant: two fields."""

    order_id: str
    amount: int


@dataclass(frozen=True)
class PlaceCheckedOrder(PlaceOrder):
    """Be the same with rules of its own."""

    async def validate(self) -> ValidationResult:
        """Refuse an amount below 0."""
        return ValidationResult.success() if self.amount >= 0 else ValidationResult.failure("amount", "is below 0")

    async def authorize(self) -> AuthorizationResult:
        """Refuse an order without a name."""
        return AuthorizationResult.success() if self.order_id else AuthorizationResult.failure("order", "has no name")


@dataclass(frozen=True)
class GetOrder(Query[str]):
    """Be the query of every contestant."""

    order_id: str


@dataclass(frozen=True)
class OrderPlaced:
    """Be the event that one handler emits."""

    order_id: str


class PlaceOrderHandler(CommandHandler[PlaceOrder, str]):
    """Do next to nothing, so that the rest is what the bus costs."""

    async def do_handle(self, command: PlaceOrder) -> str:
        """Return the order's id."""
        return command.order_id


class PlaceCheckedOrderHandler(CommandHandler[PlaceCheckedOrder, str]):
    """Do the same for the command with rules."""

    async def do_handle(self, command: PlaceCheckedOrder) -> str:
        """Return the order's id."""
        return command.order_id


@publish_domain_event("orders.events")
class EmittingHandler(CommandHandler[PlaceOrder, str]):
    """Do the same and emit an event."""

    async def do_handle(self, command: PlaceOrder) -> str:
        """Return the order's id."""
        emit(OrderPlaced(command.order_id))
        return command.order_id


@publish_domain_event("orders.events")
@command_handler(timeout=5.0, retries=3, backoff_ms=10, priority=1, tags=("orders",), description="Places an order.")
class OptionedHandler(CommandHandler[PlaceCheckedOrder, str]):
    """Do the same with every option and every hook."""

    async def pre_process(self, command: PlaceCheckedOrder) -> None:
        """Run before."""

    async def do_handle(self, command: PlaceCheckedOrder) -> str:
        """Return the order's id."""
        emit(OrderPlaced(command.order_id))
        return command.order_id

    async def post_process(self, command: PlaceCheckedOrder, result: str) -> None:
        """Run after."""

    async def on_success(self, command: PlaceCheckedOrder, result: str) -> None:
        """Run last."""


class GetOrderHandler(QueryHandler[GetOrder, str]):
    """Do next to nothing for a query."""

    async def do_handle(self, query: GetOrder) -> str:
        """Return the order's id."""
        return query.order_id


@query_handler(cacheable=True, cache_ttl=3600)
class CachedGetOrderHandler(QueryHandler[GetOrder, str]):
    """Let its answers be kept."""

    async def do_handle(self, query: GetOrder) -> str:
        """Return the order's id."""
        return query.order_id


def _place(number: int) -> PlaceOrder:
    return PlaceOrder(f"order-{number}", number)


def _place_checked(number: int) -> PlaceCheckedOrder:
    return PlaceCheckedOrder(f"order-{number}", number)


def _get(number: int) -> GetOrder:
    return GetOrder(f"order-{number}")


def _get_again(number: int) -> GetOrder:
    return GetOrder("order-0")


def _contestant(make: Callable[[int], object], send: object) -> Contestant:
    return make, cast("Callable[[object], Awaitable[object]]", send), "order-0"


def _metrics() -> CqrsMetricsService:
    return CqrsMetricsService(PrometheusMetrics("benchmarks", "0"))


def recording_tracer() -> OpenTelemetryTracer:
    """Return a tracer whose spans are recorded with all of their attributes, and exported nowhere."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(CorrelationSpanProcessor())
    return OpenTelemetryTracer(provider.get_tracer("benchmarks"))


def full_bus(registry: HandlerRegistry, tracer: OpenTelemetryTracer | None = None) -> DefaultCommandBus:
    """Return a command bus with validation, authorization, correlation and metrics in Prometheus."""
    return DefaultCommandBus(
        registry, CommandValidationService(), AuthorizationService(), _metrics(), NoOpEventPublisher(), tracer=tracer
    )


def _registry(handler: CommandHandler[C, str]) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_command_handler(handler)
    return registry


def _query_registry(handler: QueryHandler[GetOrder, str]) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    return registry


def _send_registry_alone() -> Contestant:
    return _contestant(_place, DefaultCommandBus(_registry(PlaceOrderHandler())).send)


def _send_full() -> Contestant:
    return _contestant(_place, full_bus(_registry(PlaceOrderHandler())).send)


def _send_hooked() -> Contestant:
    return _contestant(_place_checked, full_bus(_registry(PlaceCheckedOrderHandler())).send)


def _send_emitting() -> Contestant:
    return _contestant(_place, full_bus(_registry(EmittingHandler())).send)


def _send_traced() -> Contestant:
    return _contestant(_place_checked, full_bus(_registry(OptionedHandler()), recording_tracer()).send)


def _query_registry_alone() -> Contestant:
    return _contestant(_get, DefaultQueryBus(_query_registry(GetOrderHandler())).query)


def _query_full() -> Contestant:
    bus = DefaultQueryBus(
        _query_registry(GetOrderHandler()), CommandValidationService(), AuthorizationService(), _metrics()
    )
    return _contestant(_get, bus.query)


def _query_hit() -> Contestant:
    bus = DefaultQueryBus(
        _query_registry(CachedGetOrderHandler()),
        CommandValidationService(),
        AuthorizationService(),
        _metrics(),
        QueryCacheAdapter(MemoryCacheAdapter()),
    )
    return _contestant(_get_again, bus.query)


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "handle directly": lambda: _contestant(_place, PlaceOrderHandler().do_handle),
    "send": _send_registry_alone,
    "send, full": _send_full,
    "send, full, own rules": _send_hooked,
    "send, full, one event": _send_emitting,
    "send, every option, traced": _send_traced,
    "query directly": lambda: _contestant(_get, GetOrderHandler().do_handle),
    "query": _query_registry_alone,
    "query, full": _query_full,
    "query, full, cached": _query_hit,
}
"""By name, what builds each."""
