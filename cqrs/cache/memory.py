"""A cache in the memory of one process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta

from cqrs.cache.adapter import CacheAdapter
from cqrs.exceptions import ConfigurationException


class MemoryCacheAdapter(CacheAdapter):
    """Keep values in this process; when it is full, the one that was used least recently goes.

    Values are copied in and out: whoever changes a result changes their own copy only.

    Args:
        max_entries: How many values are kept at most.
        clock: Seconds that only grow, for the times values are kept.

    Raises:
        ConfigurationException: `max_entries` is not above 0.
    """

    def __init__(self, max_entries: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        if max_entries <= 0:
            raise ConfigurationException([f"MemoryCacheAdapter: max_entries is {max_entries}; give a number above 0."])
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[str, tuple[object, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many values are held, those whose time is over included until they are met."""
        return len(self._entries)

    async def get(self, key: str) -> object:
        """Return a copy of the value, or None when there is none or its time is over."""
        value, until = self._entries.get(key, (None, float("inf")))
        if self._clock() >= until:
            del self._entries[key]
            return None
        if key in self._entries:
            self._entries.move_to_end(key)
        return deepcopy(value)

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        """Keep a copy of `value` for `ttl`, or without end when `ttl` is None."""
        until = float("inf") if ttl is None else self._clock() + ttl.total_seconds()
        self._entries[key] = (deepcopy(value), until)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def evict(self, key: str) -> bool:
        """Forget one value; return whether there was one."""
        return self._entries.pop(key, None) is not None

    async def evict_by_prefix(self, prefix: str) -> int:
        """Forget every value whose key starts with `prefix`, and return how many there were."""
        found = [key for key in self._entries if key.startswith(prefix)]
        for key in found:
            del self._entries[key]
        return len(found)
