"""The cache of query results as the buses see it."""

from datetime import timedelta
from typing import Protocol, runtime_checkable

from cqrs.cache.adapter import MISSING, CacheAdapter, QueryCacheAdapter


@runtime_checkable
class QueryCache(Protocol):
    """Keep query results; `cqrs.cache.adapter.QueryCacheAdapter` is the one to use."""

    @property
    def is_available(self) -> bool:
        """Return whether anything is kept at all."""
        ...

    async def get(self, key: str) -> object:
        """Return the result, or None when there is none."""

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        """Keep a result for `ttl`."""

    async def evict(self, key: str) -> object:
        """Forget one result."""

    async def clear(self) -> None:
        """Forget every result."""


def query_cache(adapter: QueryCache | CacheAdapter | None) -> QueryCache | None:
    """Return the cache a bus is to use; a bare cache is wrapped, so that its keys have the prefix `:cqrs:`."""
    if adapter is None:
        return None
    cache = adapter if isinstance(adapter, QueryCache) else QueryCacheAdapter(adapter)
    return cache if cache.is_available else None


def withholds(cache: QueryCache, key: str) -> bool:
    """Say whether the cache keeps nothing under `key` just now; only our own adapter can tell."""
    return isinstance(cache, QueryCacheAdapter) and cache.withholds(key)


async def lookup(cache: QueryCache, key: str) -> object:
    """Return the result or MISSING; only our own adapter can tell a kept None from nothing."""
    if isinstance(cache, QueryCacheAdapter):
        return await cache.lookup(key)
    value = await cache.get(key)
    return MISSING if value is None else value
