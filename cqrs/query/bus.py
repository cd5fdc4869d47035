"""The query bus: one door through which everything that reads state goes."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast, runtime_checkable

from cqrs.authorization.service import AuthorizationService
from cqrs.cache.adapter import CacheAdapter
from cqrs.command.compilation import default_authorization, recording
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.query_cache import QueryCache, query_cache
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.command.settings import BusSettings
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import ExecutionContext
from cqrs.query.caching import Flights
from cqrs.query.handler import QueryHandler
from cqrs.query.pipeline import QueryPipeline, QueryServices
from cqrs.tracing.tracer import NoTracer, Tracer
from cqrs.types import Query

Q = TypeVar("Q", bound=Query[object])
R = TypeVar("R")

DEFAULT_TIMEOUT = 15.0
"""Seconds a handler may take when neither its decorator nor the settings say otherwise."""

DEFAULT_CACHE_TTL = 900
"""Seconds a result is kept when neither its handler nor the bus says otherwise."""


@runtime_checkable
class QueryBus(Protocol):
    """Ask queries of their handlers."""

    async def query(self, query: Query[R]) -> R:
        """Return the answer to `query`."""
        ...

    async def query_with_context(self, query: Query[R], context: ExecutionContext) -> R:
        """Return the answer to `query` for the user of `context`."""
        ...

    def register_handler(self, handler: QueryHandler[Q, R]) -> None:
        """Register a handler."""

    def unregister_handler(self, query_type: type[Query[R]]) -> bool:
        """Remove every handler of a query type, and return whether there was one."""
        ...

    def has_handler(self, query_type: type[Query[R]]) -> bool:
        """Return whether a query type has a handler."""
        ...

    async def clear_cache(self, cache_key: str) -> None:
        """Forget the result that is kept under a key."""

    async def clear_all_cache(self) -> None:
        """Forget every result."""


class DefaultQueryBus:
    """Correlate, validate, authorize, look up, handle, keep, and count.

    Built with the registry alone it validates and authorizes, and keeps nothing.

    Args:
        registry: The handlers.
        validation: Refuses invalid queries; None takes the default.
        authorization: Refuses unauthorized queries, before the cache is asked; None takes the default.
        metrics: Counts and times; None records nothing.
        cache_adapter: Where results of cacheable queries are kept; None keeps nothing.
        default_cache_ttl: Seconds a result is kept when its handler names no time. Left at 900, the properties decide.
        tracer: Opens spans; None traces nothing.
        properties: The settings; None takes the defaults: 15 s, caching, metrics and tracing on.
        timing: Clock, sleep and randomness, for tests.
    """

    def __init__(
        self,
        registry: HandlerRegistry,
        validation: CommandValidationService | None = None,
        authorization: AuthorizationService | None = None,
        metrics: CqrsMetricsService | None = None,
        cache_adapter: QueryCache | CacheAdapter | None = None,
        default_cache_ttl: int = DEFAULT_CACHE_TTL,
        *,
        tracer: Tracer | None = None,
        properties: BusSettings | None = None,
        timing: Timing | None = None,
    ) -> None:
        own = properties.query if properties is not None else None
        if own is not None and default_cache_ttl == DEFAULT_CACHE_TTL:
            default_cache_ttl = own.cache_ttl
        self._registry = registry
        self._cache = query_cache(cache_adapter)
        self._services = QueryServices(
            validation=validation or CommandValidationService(),
            authorization=authorization or default_authorization(properties),
            metrics=recording(metrics, own is None or own.metrics_enabled),
            cache=self._cache if own is None or own.caching_enabled else None,
            cache_ttl=default_cache_ttl,
            flights=Flights(),
            tracer=tracer if tracer is not None and (own is None or own.tracing_enabled) else NoTracer(),
            timeout=own.timeout if own is not None else DEFAULT_TIMEOUT,
            timing=timing or Timing(),
        )
        self._runs: dict[type, Callable[[Query[object], ExecutionContext | None], Awaitable[object]]] = {}
        registry.on_change(self._runs.clear)

    async def query(self, query: Query[R]) -> R:
        """Return the answer to `query`.

        Raises:
            QueryHandlerNotFoundException: no handler is registered for it.
            QueryProcessingException: it was refused or failed; `cause` says with what. A refusal is also a
                `CqrsValidationException` or an `AuthorizationException`.
        """
        run = self._runs.get(type(query)) or self._compiled(type(query))
        return cast("R", await run(query, None))

    async def query_with_context(self, query: Query[R], context: ExecutionContext) -> R:
        """Return the answer to `query` for the user of `context`.

        Raises:
            QueryHandlerNotFoundException: no handler is registered for it.
            QueryProcessingException: it was refused or failed; `cause` says with what. A refusal is also a
                `CqrsValidationException` or an `AuthorizationException`.
        """
        run = self._runs.get(type(query)) or self._compiled(type(query))
        return cast("R", await run(query, context))

    def register_handler(self, handler: QueryHandler[Q, R]) -> None:
        """Register a handler.

        Raises:
            ConfigurationException: its query type cannot be told, or another of the same priority is registered.
        """
        self._registry.register_query_handler(handler)

    def unregister_handler(self, query_type: type[Query[R]]) -> bool:
        """Remove every handler of a query type, and return whether there was one."""
        return self._registry.unregister_query_handler(query_type)

    def has_handler(self, query_type: type[Query[R]]) -> bool:
        """Return whether a query type has a handler."""
        return self._registry.has_query_handler(query_type)

    async def clear_cache(self, cache_key: str) -> None:
        """Forget the result that is kept under a key, for every asker; what is being computed for it is not kept.

        Args:
            cache_key: As `get_cache_key()` returns it, with the handler's `cache_key_prefix` and a colon before it.

        Raises:
            Exception: what the cache raised; the result may still be there.
        """
        self._services.flights.abandon(cache_key)
        if self._cache is not None:
            await self._cache.evict(cache_key)

    async def clear_all_cache(self) -> None:
        """Forget every result; what is being computed is not kept.

        Raises:
            Exception: what the cache raised; results may still be there.
        """
        self._services.flights.abandon()
        if self._cache is not None:
            await self._cache.clear()

    def _compiled(
        self, query_type: type[Query[object]]
    ) -> Callable[[Query[object], ExecutionContext | None], Awaitable[object]]:
        handler = self._registry.find_query_handler(query_type)
        run = QueryPipeline(query_type, handler, self._services).run
        self._runs[query_type] = run
        return run
