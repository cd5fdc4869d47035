"""Our caches keep the contract: in memory, and on a real Redis server."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from cqrs.cache.adapter import CacheAdapter
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.cache.redis import RedisCacheAdapter
from cqrs.testing.contracts.cache import CacheAdapterContract
from tests.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]


class TestMemoryCache(CacheAdapterContract):
    now = 100.0

    @pytest.fixture
    def cache(self) -> CacheAdapter:
        return MemoryCacheAdapter(clock=lambda: self.now)

    async def pass_time(self, time: timedelta) -> None:
        self.now += time.total_seconds()


@pytest.mark.redis
class TestRedisCache(CacheAdapterContract):
    @pytest_asyncio.fixture
    async def cache(self, redis_server: RedisServer) -> AsyncIterator[CacheAdapter]:
        connected = RedisCacheAdapter.from_url(redis_server.url)
        yield connected
        await connected.close()
