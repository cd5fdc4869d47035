from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.exceptions import ConfigurationException


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.asyncio
async def test_a_value_is_gone_when_its_time_is_over_and_not_before() -> None:
    clock = Clock()
    cache = MemoryCacheAdapter(clock=clock)
    await cache.put("short", 1, timedelta(seconds=10))
    await cache.put("endless", 2)
    clock.now += 9.999
    assert await cache.get("short") == 1
    clock.now += 0.001
    assert await cache.get("short") is None
    assert len(cache) == 1
    clock.now += 1e9
    assert await cache.get("endless") == 2


@pytest.mark.asyncio
async def test_putting_again_renews_value_and_time() -> None:
    clock = Clock()
    cache = MemoryCacheAdapter(clock=clock)
    await cache.put("k", "old", timedelta(seconds=1))
    await cache.put("k", "new")
    clock.now += 5
    assert await cache.get("k") == "new"
    assert len(cache) == 1


@pytest.mark.asyncio
async def test_when_full_the_least_recently_used_goes() -> None:
    cache = MemoryCacheAdapter(max_entries=2)
    await cache.put("a", 1)
    await cache.put("b", 2)
    await cache.get("a")
    await cache.put("c", 3)
    assert [await cache.get(key) for key in "abc"] == [1, None, 3]


@pytest.mark.asyncio
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers()), max_size=40), st.integers(1, 5))
async def test_it_never_holds_more_than_it_may_and_always_the_latest(puts: list[tuple[str, int]], bound: int) -> None:
    cache = MemoryCacheAdapter(max_entries=bound)
    latest: dict[str, int] = {}
    for key, value in puts:
        await cache.put(key, value)
        latest.pop(key, None)
        latest[key] = value
        assert len(cache) <= bound
    kept = list(latest)[-bound:]
    assert [await cache.get(key) for key in latest] == [latest[key] if key in kept else None for key in latest]


@pytest.mark.asyncio
async def test_changing_a_result_changes_nobody_elses() -> None:
    cache = MemoryCacheAdapter()
    mine = {"items": ["a"]}
    await cache.put("k", mine)
    mine["items"].append("b")
    theirs = await cache.get("k")
    assert theirs == {"items": ["a"]}
    theirs["items"].clear()
    assert await cache.get("k") == {"items": ["a"]}


@pytest.mark.asyncio
async def test_evicting_one_or_many_says_what_was_there() -> None:
    cache = MemoryCacheAdapter()
    for key in (":cqrs:a", ":cqrs:b", "other:a", "x:cqrs:"):
        await cache.put(key, key)
    assert await cache.evict(":cqrs:a") is True
    assert await cache.evict(":cqrs:a") is False
    assert await cache.evict_by_prefix(":cqrs:") == 1
    assert await cache.get("other:a") == "other:a"
    assert len(cache) == 2


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationException, match="max_entries is 0"):
        MemoryCacheAdapter(max_entries=0)
