"""The query bus's part of a cache: every key starts with `:cqrs:`, and nothing else in the cache is touched."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import Enum
from typing import Final, Protocol, runtime_checkable

PREFIX = ":cqrs:"

# A cache may answer None for a miss; a cached None is therefore kept as this, which every serializer can write.
_NONE: dict[str, object] = {"cqrs.cached": None}

_MOST_REMEMBERED = 10_000


class Missing(Enum):
    """Be what a lookup answers when nothing is cached; None is a value like any other."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class CacheAdapter(Protocol):
    """Keep values by key; what a cache must do to stand behind the query bus."""

    async def get(self, key: str) -> object:
        """Return the value, or None when there is none or its time is over."""

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        """Keep `value` for `ttl`, or without end when `ttl` is None."""

    async def evict(self, key: str) -> object:
        """Forget one value."""


@runtime_checkable
class PrefixEvicting(Protocol):
    """Forget many values at once; a cache that can is cleared completely, whichever process filled it."""

    async def evict_by_prefix(self, prefix: str) -> int:
        """Forget every value whose key starts with `prefix`, and return how many there were."""
        ...


@runtime_checkable
class TypeAccepting(Protocol):
    """Be told which classes values are made of; a cache outside of the process revives no others."""

    def accept_types(self, types: Iterable[type]) -> None:
        """Name further classes."""


class QueryCacheAdapter:
    """Keep query results in a shared cache, apart from everything else in it.

    Without a cache every operation does nothing. What the cache raises goes to the caller: the query bus counts it and
    goes on as if nothing were cached.

    Args:
        cache: The cache, or None for none. One that is no `PrefixEvicting` can only be cleared of what this adapter
            put there: it remembers 10,000 keys, and an entry whose key it forgets is evicted.
        clock: Seconds that only grow, for the times keys are withheld.
    """

    def __init__(self, cache: CacheAdapter | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._by_prefix: PrefixEvicting | None = cache if isinstance(cache, PrefixEvicting) else None
        self._by_type: TypeAccepting | None = cache if isinstance(cache, TypeAccepting) else None
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._clock = clock
        self._withheld: OrderedDict[str, float] = OrderedDict()

    @property
    def is_available(self) -> bool:
        """Return whether there is a cache."""
        return self._cache is not None

    async def lookup(self, key: str) -> object:
        """Return the cached value, which may be None, or MISSING when there is none."""
        value = None if self._cache is None or self.withholds(key) else await self._cache.get(PREFIX + key)
        if value is None:
            return MISSING
        return None if value == _NONE else value

    async def get(self, key: str) -> object:
        """Return the cached value, or None when there is none."""
        value = await self.lookup(key)
        return None if value is MISSING else value

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        """Keep `value` for `ttl`; None keeps it without end, zero or less forgets what was kept."""
        if self._cache is None or self.withholds(key):
            return
        if ttl is not None and ttl <= timedelta(0):
            await self.evict(key)
            return
        await self._cache.put(PREFIX + key, _NONE if value is None else value, ttl=ttl)
        await self._remember(PREFIX + key, self._cache)

    async def evict(self, key: str) -> bool:
        """Forget one value; return whether the cache says that there was one."""
        if self._cache is None:
            return False
        self._remembered.pop(PREFIX + key, None)
        return bool(await self._cache.evict(PREFIX + key))

    async def withhold(self, key: str, duration: timedelta) -> bool:
        """Forget one value, and for `duration` neither keep nor return another; return whether there was one.

        It is for a change that is announced before it can be read: what is read meanwhile may be old. It holds in this
        process, also when evicting fails.
        """
        now = self._clock()
        while self._withheld and next(iter(self._withheld.values())) <= now:
            self._withheld.popitem(last=False)
        self._withheld[key] = max(self._withheld.get(key, now), now + duration.total_seconds())
        self._withheld.move_to_end(key)
        return await self.evict(key)

    def withholds(self, key: str) -> bool:
        """Say whether nothing is kept or returned under `key` just now."""
        return bool(self._withheld) and self._withheld.get(key, float("-inf")) > self._clock()

    def accept_types(self, types: Iterable[type]) -> None:
        """Tell the cache which classes results are made of, if it wants to know."""
        if self._by_type is not None:
            self._by_type.accept_types(types)

    async def clear(self) -> None:
        """Forget every value whose key starts with `:cqrs:`; other keys of the cache stay."""
        if self._by_prefix is not None:
            await self._by_prefix.evict_by_prefix(PREFIX)
        for key in tuple(self._remembered):
            await self.evict(key.removeprefix(PREFIX))

    async def _remember(self, key: str, cache: CacheAdapter) -> None:
        if self._by_prefix is not None:
            return
        self._remembered[key] = None
        self._remembered.move_to_end(key)
        if len(self._remembered) > _MOST_REMEMBERED:
            oldest, _ = self._remembered.popitem(last=False)
            await cache.evict(oldest)
