"""The buses and everything around them as beans: what the container holds unless something else is given for a type."""

from cqrs.actuator.endpoint import CqrsMetricsEndpoint
from cqrs.actuator.health import CqrsHealthIndicator
from cqrs.authorization.service import AuthorizationService
from cqrs.cache.adapter import CacheAdapter, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.metrics import CqrsMetricsService, MetricsRegistry
from cqrs.command.registry import HandlerRegistry
from cqrs.command.unit_of_work import UnitOfWork
from cqrs.command.validation import CommandValidationService
from cqrs.config.properties import CqrsProperties
from cqrs.container import bean
from cqrs.event.eda import EventPublisher
from cqrs.event.publisher import CommandEventPublisher, EdaCommandEventPublisher, NoOpEventPublisher
from cqrs.query.bus import DefaultQueryBus, QueryBus
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import Tracer
from cqrs.validation.processor import AutoValidationProcessor


class CqrsPropertiesConfiguration:
    """Give the properties alone: what is left of the configuration when `cqrs.enabled` is false.

    Args:
        properties: The settings of the buses; None takes the defaults.
    """

    def __init__(self, properties: CqrsProperties | None = None) -> None:
        self._properties = properties or CqrsProperties()

    @bean
    def cqrs_properties(self) -> CqrsProperties:
        """Return the settings of the buses."""
        return self._properties


class CqrsAutoConfiguration(CqrsPropertiesConfiguration):
    """Give every bean of the buses, each replaceable by a bean, instance or service of the same type.

    What the beans take when the container has it: a `CacheAdapter`, a `MetricsRegistry`, an EDA `EventPublisher`,
    a `Tracer` and a `UnitOfWork`.
    """

    @bean
    def correlation_context(self) -> CorrelationContext:
        """Return the ids of the running task."""
        return CorrelationContext()

    @bean
    def auto_validation_processor(self) -> AutoValidationProcessor:
        """Return what validates a message."""
        return AutoValidationProcessor()

    @bean
    def command_validation_service(self, processor: AutoValidationProcessor) -> CommandValidationService:
        """Return what refuses invalid messages."""
        return CommandValidationService(processor)

    @bean
    def cqrs_metrics_service(self, registry: MetricsRegistry | None = None) -> CqrsMetricsService:
        """Return what counts and times messages; it records nothing without a registry."""
        return CqrsMetricsService(registry)

    @bean
    def authorization_service(self, properties: CqrsProperties) -> AuthorizationService:
        """Return what refuses unauthorized messages."""
        own = properties.authorization
        return AuthorizationService(own.enabled, own.custom.enabled, own.custom.timeout_ms)

    @bean
    def handler_registry(self) -> HandlerRegistry:
        """Return the registry that both buses share, without handlers yet."""
        return HandlerRegistry()

    @bean
    def command_event_publisher(self, producer: EventPublisher | None = None) -> CommandEventPublisher:
        """Return a publisher on the event bus, or one that publishes nothing when there is no event bus."""
        return NoOpEventPublisher() if producer is None else EdaCommandEventPublisher(producer)

    @bean
    def query_cache_adapter(self, cache: CacheAdapter | None = None) -> QueryCacheAdapter:
        """Return the query bus's part of the cache, which keeps nothing when there is no cache."""
        return QueryCacheAdapter(cache)

    @bean
    def eda_cache_invalidation_bridge(
        self, cache: QueryCacheAdapter, producer: EventPublisher | None = None
    ) -> EdaCacheInvalidationBridge | None:
        """Return the bridge, listening to the event bus if there is one; None with neither event bus nor cache."""
        if producer is None and not cache.is_available:
            return None
        bridge = EdaCacheInvalidationBridge(cache)
        if producer is not None:
            bridge.subscribe(producer)
        return bridge

    @bean
    def command_bus(
        self,
        registry: HandlerRegistry,
        validation: CommandValidationService,
        authorization: AuthorizationService,
        metrics: CqrsMetricsService,
        event_publisher: CommandEventPublisher,
        cache_adapter: QueryCacheAdapter | None = None,
        properties: CqrsProperties | None = None,
        tracer: Tracer | None = None,
        unit_of_work: UnitOfWork | None = None,
    ) -> DefaultCommandBus:
        """Return the command bus."""
        return DefaultCommandBus(
            registry,
            validation,
            authorization,
            metrics,
            event_publisher,
            tracer=tracer,
            unit_of_work=unit_of_work,
            properties=properties,
            cache_adapter=cache_adapter,
        )

    @bean
    def command_port(self, bus: DefaultCommandBus) -> CommandBus:
        """Return the command bus under its port."""
        return bus

    @bean
    def query_bus(
        self,
        registry: HandlerRegistry,
        validation: CommandValidationService,
        authorization: AuthorizationService,
        metrics: CqrsMetricsService,
        cache_adapter: QueryCacheAdapter | None = None,
        properties: CqrsProperties | None = None,
        tracer: Tracer | None = None,
    ) -> DefaultQueryBus:
        """Return the query bus."""
        return DefaultQueryBus(
            registry, validation, authorization, metrics, cache_adapter, tracer=tracer, properties=properties
        )

    @bean
    def query_port(self, bus: DefaultQueryBus) -> QueryBus:
        """Return the query bus under its port."""
        return bus

    @bean
    def cqrs_metrics_endpoint(self, registry: HandlerRegistry) -> CqrsMetricsEndpoint:
        """Return what `/actuator/cqrs/metrics` serves."""
        return CqrsMetricsEndpoint(registry)

    @bean
    def cqrs_health_indicator(self, registry: HandlerRegistry) -> CqrsHealthIndicator:
        """Return the buses' part of `/actuator/health`."""
        return CqrsHealthIndicator(registry)


def auto_configuration(properties: CqrsProperties) -> CqrsPropertiesConfiguration:
    """Return the default beans for `Container(defaults=[...])`: all of them, or the properties alone when switched off.

    Args:
        properties: The settings; `enabled` is the master switch.
    """
    return CqrsAutoConfiguration(properties) if properties.enabled else CqrsPropertiesConfiguration(properties)
