"""A cache on a Redis server, shared by every replica; it needs the extra `redis`."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Self, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cqrs.cache.adapter import CacheAdapter
from cqrs.cache.codec import ValueCodec
from cqrs.exceptions import DependencyUnavailableException

T = TypeVar("T")

_BATCH = 500
_GLOB = {character: f"\\{character}" for character in "\\*?[]"}


class RedisCacheAdapter(CacheAdapter):
    """Keep values on a Redis server as JSON; nothing read from the server is ever executed.

    Args:
        client: The client; whoever made it closes it.
        types: The dataclasses, pydantic models and enums that values may be made of; see `ValueCodec`.
    """

    def __init__(self, client: Redis, types: Iterable[type] = ()) -> None:
        self._client = client
        self._codec = ValueCodec(types)

    def accept_types(self, types: Iterable[type]) -> None:
        """Name further classes that values may be made of.

        Raises:
            ConfigurationException: the fields of one cannot be written and read back.
        """
        self._codec.accept(types)

    @classmethod
    def from_url(
        cls, url: str, types: Iterable[type] = (), timeout_seconds: float = 1.0, max_connections: int = 20
    ) -> Self:
        """Return an adapter with a client of its own, which `close` closes.

        Args:
            url: `redis://host:port/database`, or `rediss://` for TLS.
            types: As for the class.
            timeout_seconds: How long a free connection, connecting and each answer may take.
            max_connections: How many connections are open at most; further calls wait for one.
        """
        # The default pool refuses a call when all connections are in use.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
        )
        return cls(Redis.from_pool(pool), types)

    async def get(self, key: str) -> object:
        """Return the value, or None when there is none or its time is over.

        Raises:
            ValueError: what is stored under `key` is no value of this cache.
            DependencyUnavailableException: the server does not answer.
        """
        content = await self._ask(lambda: self._client.get(key))
        return None if content is None else self._codec.decode(content)

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        """Keep `value` for `ttl`, or without end when `ttl` is None; less than a millisecond counts as one.

        Raises:
            TypeError: it holds an object of a class that was not named.
            DependencyUnavailableException: the server does not answer.
        """
        content = self._codec.encode(value)
        milliseconds = None if ttl is None else max(1, int(ttl / timedelta(milliseconds=1)))
        await self._ask(lambda: self._client.set(key, content, px=milliseconds))

    async def evict(self, key: str) -> bool:
        """Forget one value; return whether there was one.

        Raises:
            DependencyUnavailableException: the server does not answer.
        """
        return bool(await self._ask(lambda: self._client.unlink(key)))

    async def evict_by_prefix(self, prefix: str) -> int:
        """Forget every value whose key starts with `prefix`, and return how many there were.

        It walks the keys with SCAN, so the server goes on answering others meanwhile.

        Raises:
            DependencyUnavailableException: the server does not answer.
        """
        pattern = "".join(_GLOB.get(character, character) for character in prefix) + "*"
        return await self._ask(lambda: self._unlink_matching(pattern))

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.aclose()

    async def _unlink_matching(self, pattern: str) -> int:
        gone, batch = 0, list[bytes | str]()
        async for key in self._client.scan_iter(match=pattern, count=_BATCH):
            batch.append(key)
            if len(batch) == _BATCH:
                gone += await self._client.unlink(*batch)
                batch.clear()
        return gone + (await self._client.unlink(*batch) if batch else 0)

    async def _ask(self, command: Callable[[], Awaitable[T]]) -> T:
        try:
            return await command()
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise DependencyUnavailableException("redis", f"{type(error).__name__}: {error}") from error
