"""The cache step of a query: look up, else compute once for all who ask meanwhile, and keep."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from cqrs.cache.adapter import MISSING
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.query_cache import QueryCache, lookup, withholds
from cqrs.context.execution_context import ExecutionContext
from cqrs.query.cache_key import Place, place_of
from cqrs.types import Query, message_name

Compute = Callable[[Query[object], ExecutionContext | None], Awaitable[object]]

_logger = logging.getLogger(__name__)
_GENERATION = "generation:"
_GOES_ON = "%s goes on without the cache: %s failed"
_leading: ContextVar[frozenset[Place]] = ContextVar("cqrs_led_flights", default=frozenset())


@dataclass(slots=True, eq=False)
class _Flight:
    """Be one computation that others wait for; it ends with a value, an error, or, when cancelled, with neither."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    value: object = MISSING
    error: Exception | None = None


class Flights:
    """Hold the computations that are under way on one bus."""

    def __init__(self) -> None:
        self._flights: dict[Place, _Flight] = {}

    def abandon(self, key: str | None = None) -> None:
        """Let nothing that is being computed for `key`, or for any key, be kept: it began before the clearing."""
        for place in [each for each in self._flights if key is None or each.key == key]:
            del self._flights[place]

    async def join(self, place: Place, compute: Callable[[], Awaitable[object]], keep: "Keep") -> object:
        """Return what the computation for `place` returns; start it when there is none."""
        if place in _leading.get():  # a handler that asks its own question would wait for itself
            return await compute()
        while True:
            flight = self._flights.get(place)
            if flight is None:
                return await self._lead(place, compute, keep)
            await flight.ended.wait()
            if flight.error is not None:
                raise flight.error
            if flight.value is not MISSING:
                return flight.value

    async def _lead(self, place: Place, compute: Callable[[], Awaitable[object]], keep: "Keep") -> object:
        flight = self._flights[place] = _Flight()
        token = _leading.set(_leading.get() | {place})
        try:
            result = await compute()
            if self._flights.get(place) is flight:
                await keep(result)
            flight.value = result
        except Exception as error:
            flight.error = error
            raise
        finally:
            _leading.reset(token)
            if self._flights.get(place) is flight:
                del self._flights[place]
            flight.ended.set()
        return result


Keep = Callable[[object], Awaitable[None]]


class CachedAnswers:
    """Answer the queries of one type from the cache.

    Args:
        query_type: The class of the queries.
        cache: Where results are kept.
        flights: The computations under way on the bus.
        ttl: How long a result is kept.
        prefix: What stands before each key, or None.
        by_asker: Whether the handler sees the context, so that answers are kept for each asker apart.
        expected: The classes of which a result must be an instance, or None.
        metrics: Counts hits and misses, or None.
    """

    def __init__(
        self,
        query_type: type,
        cache: QueryCache,
        flights: Flights,
        *,
        ttl: timedelta,
        prefix: str | None,
        by_asker: bool,
        expected: tuple[type, ...] | None,
        metrics: CqrsMetricsService | None,
    ) -> None:
        self._name = message_name(query_type)
        self._cache = cache
        self._flights = flights
        self._ttl = ttl
        self._prefix = prefix
        self._by_asker = by_asker
        self._expected = expected
        self._metrics = metrics

    async def answer(
        self, query: Query[object], context: ExecutionContext | None, compute: Compute
    ) -> tuple[object, bool]:
        """Return the result, and whether it came from the cache.

        Raises:
            Exception: what `compute` raised; what the cache raises counts as a miss.
        """
        place = self._place(query, context)
        if place is None:
            return await compute(query, context), False
        key = await self._storage_key(query, place)
        found = MISSING if key is None else await self._lookup(query, key)
        if found is not MISSING:
            self._count(query, hit=True)
            return found, True
        self._count(query, hit=False)

        async def keep(result: object) -> None:
            if key is not None:
                await self._put(query, key, result)

        return await self._flights.join(place, lambda: compute(query, context), keep), False

    def _place(self, query: Query[object], context: ExecutionContext | None) -> Place | None:
        if not query.is_cacheable() or (self._by_asker and context is None):
            return None
        try:
            return place_of(query, self._prefix, context if self._by_asker else None)
        except Exception:
            _logger.warning(_GOES_ON, self._name, "key", exc_info=True)
            self._count_failure(query, "key")
            return None

    async def _storage_key(self, query: Query[object], place: Place) -> str | None:
        """Return the key to look up, or None when the cache cannot be asked.

        Answers for one asker lie under a generation that is kept under the key itself: evicting that one key, as
        commands and other replicas do, puts the answers of all askers out of reach at once.
        """
        if withholds(self._cache, place.key):
            return None
        if place.asker is None:
            return place.key
        generation = await self._lookup(query, place.key, any_type=True)
        if not isinstance(generation, str) or not generation.startswith(_GENERATION):
            generation = f"{_GENERATION}{uuid4().hex}"
            if not await self._put(query, place.key, generation):
                return None
        return f"{place.key}:{generation.removeprefix(_GENERATION)}:{place.asker}"

    async def _lookup(self, query: Query[object], key: str, *, any_type: bool = False) -> object:
        try:
            found = await lookup(self._cache, key)
        except Exception:
            _logger.warning(_GOES_ON, self._name, "get", exc_info=True)
            self._count_failure(query, "get")
            return MISSING
        fits = any_type or self._expected is None or found is MISSING or isinstance(found, self._expected)
        return found if fits else MISSING  # an earlier release may have kept another class under this key

    async def _put(self, query: Query[object], key: str, value: object) -> bool:
        try:
            await self._cache.put(key, value, self._ttl)
        except Exception:
            _logger.warning(_GOES_ON, self._name, "put", exc_info=True)
            self._count_failure(query, "put")
            return False
        return True

    def _count(self, query: Query[object], *, hit: bool) -> None:
        if self._metrics is not None:
            record = self._metrics.record_cache_hit if hit else self._metrics.record_cache_miss
            record(query)

    def _count_failure(self, query: Query[object], operation: str) -> None:
        if self._metrics is not None:
            self._metrics.record_cache_failure(query, operation)
