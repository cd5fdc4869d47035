from collections.abc import Iterable
from datetime import timedelta
from unittest.mock import patch

import pytest

from cqrs.cache import adapter as adapter_module
from cqrs.cache.adapter import MISSING, CacheAdapter, QueryCacheAdapter
from cqrs.cache.memory import MemoryCacheAdapter

TTL = timedelta(seconds=5)


class PlainCache:
    """Be a cache that can do no more than the guide's examples need."""

    def __init__(self) -> None:
        self.held: dict[str, object] = {}
        self.ttls: dict[str, timedelta | None] = {}

    async def get(self, key: str) -> object:
        return self.held.get(key)

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        self.held[key] = value
        self.ttls[key] = ttl

    async def evict(self, key: str) -> bool:
        return self.held.pop(key, None) is not None


@pytest.fixture(params=[PlainCache, MemoryCacheAdapter])
def cache(request: pytest.FixtureRequest) -> CacheAdapter:
    made: CacheAdapter = request.param()
    return made


@pytest.mark.asyncio
async def test_keys_are_prefixed_and_values_pass_as_they_are() -> None:
    plain = PlainCache()
    await QueryCacheAdapter(cache=plain).put("order:1", {"id": 1}, TTL)
    assert plain.held == {":cqrs:order:1": {"id": 1}}
    assert plain.ttls == {":cqrs:order:1": TTL}


@pytest.mark.asyncio
async def test_a_cached_none_is_a_hit_and_nothing_else_is(cache: CacheAdapter) -> None:
    adapter = QueryCacheAdapter(cache)
    assert await adapter.lookup("k") is MISSING
    assert await adapter.get("k") is None
    await adapter.put("k", None)
    assert await adapter.lookup("k") is None
    await adapter.put("k", 0)
    assert await adapter.lookup("k") == 0 == await adapter.get("k")


@pytest.mark.asyncio
async def test_evicting_forgets_one_key_and_says_so(cache: CacheAdapter) -> None:
    adapter = QueryCacheAdapter(cache)
    await adapter.put("a", 1)
    await adapter.put("b", 2)
    assert await adapter.evict("a") is True
    assert await adapter.evict("a") is False
    assert (await adapter.lookup("a"), await adapter.lookup("b")) == (MISSING, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1)])
async def test_no_time_keeps_nothing_and_forgets_what_was_kept(cache: CacheAdapter, ttl: timedelta) -> None:
    adapter = QueryCacheAdapter(cache)
    await adapter.put("k", "old")
    await adapter.put("k", "new", ttl)
    assert await adapter.lookup("k") is MISSING


@pytest.mark.asyncio
async def test_clearing_leaves_foreign_keys_alone(cache: CacheAdapter) -> None:
    adapter = QueryCacheAdapter(cache)
    await cache.put("session:1", "foreign")
    await adapter.put("a", 1)
    await adapter.put("b", None)
    await adapter.clear()
    assert [await adapter.lookup(key) for key in ("a", "b")] == [MISSING, MISSING]
    assert await cache.get("session:1") == "foreign"


@pytest.mark.asyncio
async def test_clearing_covers_what_another_process_has_put() -> None:
    shared = MemoryCacheAdapter()
    await QueryCacheAdapter(shared).put("theirs", 1)
    mine = QueryCacheAdapter(shared)
    await mine.clear()
    assert await mine.lookup("theirs") is MISSING


@pytest.mark.asyncio
async def test_a_plain_cache_holds_no_key_that_clearing_would_miss() -> None:
    plain = PlainCache()
    adapter = QueryCacheAdapter(plain)
    with patch.object(adapter_module, "_MOST_REMEMBERED", 2):
        for key in ("a", "b", "a", "c"):
            await adapter.put(key, key)
    assert set(plain.held) == {":cqrs:a", ":cqrs:c"}
    await adapter.clear()
    assert plain.held == {}


@pytest.mark.asyncio
async def test_without_a_cache_everything_does_nothing() -> None:
    adapter = QueryCacheAdapter()
    assert not adapter.is_available
    await adapter.put("k", 1)
    await adapter.clear()
    assert await adapter.lookup("k") is MISSING
    assert await adapter.get("k") is None
    assert await adapter.evict("k") is False
    assert QueryCacheAdapter(PlainCache()).is_available


@pytest.mark.asyncio
async def test_what_the_cache_raises_reaches_the_caller() -> None:
    class Broken(PlainCache):
        async def get(self, key: str) -> object:
            raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await QueryCacheAdapter(Broken()).lookup("k")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.asyncio
async def test_a_withheld_key_is_forgotten_and_neither_kept_nor_returned_until_its_time(cache: CacheAdapter) -> None:
    clock = Clock()
    adapter = QueryCacheAdapter(cache, clock=clock)
    await adapter.put("a", 1)
    await adapter.put("b", 2)
    assert await adapter.withhold("a", TTL)
    await adapter.put("a", 3)
    await cache.put(":cqrs:a", 4)  # another replica, which has not heard of the event yet

    assert await adapter.lookup("a") is MISSING
    assert (adapter.withholds("a"), adapter.withholds("b")) == (True, False)
    assert await adapter.lookup("b") == 2
    assert await adapter.withhold("a", TTL)
    await adapter.put("a", 3)
    clock.now += 5
    assert not adapter.withholds("a")
    assert await adapter.lookup("a") is MISSING
    await adapter.put("a", 5)
    assert await adapter.lookup("a") == 5


@pytest.mark.asyncio
async def test_withholding_again_prolongs_and_never_shortens() -> None:
    clock = Clock()
    adapter = QueryCacheAdapter(PlainCache(), clock=clock)
    await adapter.withhold("a", 2 * TTL)
    await adapter.withhold("a", TTL)
    clock.now += 5
    assert adapter.withholds("a")
    await adapter.withhold("a", TTL)
    clock.now += 4.9
    assert adapter.withholds("a")


@pytest.mark.asyncio
async def test_what_was_withheld_is_not_remembered_for_ever() -> None:
    clock = Clock()
    adapter = QueryCacheAdapter(PlainCache(), clock=clock)
    for number in range(1000):
        await adapter.withhold(str(number), TTL)
        clock.now += 1
    assert len(adapter._withheld) <= 6


@pytest.mark.asyncio
async def test_a_key_that_cannot_be_evicted_is_withheld_all_the_same() -> None:
    plain = PlainCache()
    adapter = QueryCacheAdapter(plain)
    await adapter.put("a", 1)
    with patch.object(plain, "evict", side_effect=ConnectionError), pytest.raises(ConnectionError):
        await adapter.withhold("a", TTL)
    assert await adapter.lookup("a") is MISSING


def test_a_cache_that_wants_to_know_the_types_is_told() -> None:
    class Typed(PlainCache):
        def __init__(self) -> None:
            super().__init__()
            self.types: list[type] = []

        def accept_types(self, types: Iterable[type]) -> None:
            self.types += types

    typed = Typed()
    QueryCacheAdapter(typed).accept_types([int, str])
    assert typed.types == [int, str]
    QueryCacheAdapter(PlainCache()).accept_types([int])
    QueryCacheAdapter().accept_types([int])
