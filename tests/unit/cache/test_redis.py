import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from cqrs.cache.adapter import MISSING, QueryCacheAdapter
from cqrs.cache.redis import RedisCacheAdapter
from cqrs.exceptions import DependencyUnavailableException

pytestmark = pytest.mark.redis


class Server(Protocol):
    url: str
    port: int

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class View:
    order_id: str
    total: Decimal


@pytest_asyncio.fixture
async def client(redis_server: Server) -> AsyncIterator[Redis]:
    connected = Redis.from_url(redis_server.url)
    yield connected
    await connected.aclose()


@pytest_asyncio.fixture
async def cache(redis_server: Server) -> AsyncIterator[RedisCacheAdapter]:
    connected = RedisCacheAdapter.from_url(redis_server.url, types=[View])
    yield connected
    await connected.close()


@pytest.mark.asyncio
async def test_values_come_back_as_they_went(cache: RedisCacheAdapter, client: Redis) -> None:
    adapter = QueryCacheAdapter(cache)
    assert await adapter.lookup("order:1") is MISSING
    await adapter.put("order:1", View("1", Decimal("9.90")))
    await adapter.put("nothing", None)
    assert await adapter.lookup("order:1") == View("1", Decimal("9.90"))
    assert await adapter.lookup("nothing") is None
    stored = await client.get(":cqrs:order:1")
    assert stored is not None
    assert b'"total":"9.90"' in stored


@pytest.mark.asyncio
async def test_a_client_that_decodes_responses_serves_as_well(redis_server: Server) -> None:
    decoding = Redis.from_url(redis_server.url, decode_responses=True)
    cache = RedisCacheAdapter(decoding)
    await cache.put("k", ["ä", 1])
    assert await cache.get("k") == ["ä", 1]
    await cache.evict_by_prefix("k")
    assert await cache.get("k") is None
    await decoding.aclose()


@pytest.mark.asyncio
async def test_time_is_kept_by_the_server(cache: RedisCacheAdapter, client: Redis) -> None:
    await cache.put("short", 1, timedelta(seconds=30))
    await cache.put("endless", 1)
    assert 29_000 < await client.pttl("short") <= 30_000
    assert await client.pttl("endless") == -1
    await cache.put("blink", 1, timedelta(microseconds=1))
    assert await client.pttl("blink") <= 1


@pytest.mark.asyncio
async def test_evicting_says_whether_something_was_there(cache: RedisCacheAdapter) -> None:
    await cache.put("k", 1)
    assert await cache.evict("k") is True
    assert await cache.evict("k") is False


@pytest.mark.asyncio
async def test_clearing_touches_only_the_keys_of_the_query_bus(cache: RedisCacheAdapter, client: Redis) -> None:
    adapter = QueryCacheAdapter(cache)
    await client.mset({"session:1": "s", "x:cqrs:": "x", ":cqrsX": "y"})
    await asyncio.gather(*(adapter.put(f"order:{number}", number) for number in range(1_200)))
    await adapter.clear()
    assert set(await client.keys("*")) == {b"session:1", b"x:cqrs:", b":cqrsX"}


@pytest.mark.asyncio
async def test_a_prefix_is_meant_literally(cache: RedisCacheAdapter, client: Redis) -> None:
    await client.mset({"a*b:1": "", "aXb:1": "", "a[1]": "", "a1": ""})
    assert await cache.evict_by_prefix("a*b") == 1
    assert await cache.evict_by_prefix("a[1]") == 1
    assert set(await client.keys("*")) == {b"aXb:1", b"a1"}


@pytest.mark.asyncio
async def test_a_foreign_value_is_no_answer(cache: RedisCacheAdapter, client: Redis) -> None:
    await client.set(":cqrs:k", b"\x80\x04pickled")
    with pytest.raises(ValueError, match=r"."):
        await QueryCacheAdapter(cache).lookup("k")


@pytest.mark.asyncio
async def test_a_class_that_was_not_named_is_not_stored(cache: RedisCacheAdapter, client: Redis) -> None:
    with pytest.raises(TypeError, match="not among the types"):
        await cache.put("k", object())
    assert await client.get("k") is None


@pytest.mark.asyncio
async def test_a_server_that_is_away_is_a_dependency_that_is_away_until_it_is_back(
    redis_server: Server, cache: RedisCacheAdapter
) -> None:
    await cache.put("k", 1)
    redis_server.stop()
    for attempt in (cache.get("k"), cache.put("k", 1), cache.evict("k"), cache.evict_by_prefix("k")):
        with pytest.raises(DependencyUnavailableException, match="redis is unavailable"):
            await attempt
    redis_server.start()
    await cache.put("k", 2)
    assert await cache.get("k") == 2


@pytest.mark.asyncio
async def test_classes_named_later_are_revived(redis_server: Server) -> None:
    cache = RedisCacheAdapter.from_url(redis_server.url)
    kept = [View("1", Decimal("9.90"))]
    with pytest.raises(TypeError, match="View is not among the types"):
        await cache.put("k", kept)
    QueryCacheAdapter(cache).accept_types([View])
    await cache.put("k", kept)
    assert await cache.get("k") == kept
    await cache.close()
