"""Make the cache that a URL names: `memory://` in this process, `redis://` or `rediss://` shared by every replica."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

from cqrs.cache.adapter import CacheAdapter
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.exceptions import ConfigurationException

if TYPE_CHECKING:
    from cqrs.cache.redis import RedisCacheAdapter

_MAX_ENTRIES = "max_entries"
_KNOWN = "write memory://, memory://?max_entries=1000, redis://host:6379/0 or rediss://host:6379/0"


def cache_url_problem(url: str) -> str | None:
    """Say what keeps `url` from naming a cache, without repeating any of its secrets; None when it names one."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "memory":
            return _memory_problem(parts)
        return _redis_problem(parts) if parts.scheme in ("redis", "rediss") else f"it names no known cache; {_KNOWN}"
    except ValueError:  # a port that is no number, a bracket that is not closed
        return f"it is no URL; {_KNOWN}"


@asynccontextmanager
async def opened_cache(url: str) -> AsyncIterator[CacheAdapter]:
    """Make the cache that `url` names, and close it behind the block; nothing is connected before it is asked.

    Raises:
        ConfigurationException: the URL names no cache, or the library for it is not installed.
    """
    if problem := cache_url_problem(url):
        raise ConfigurationException([f"CACHE_URL: {problem}."])
    parts = urlsplit(url)
    if parts.scheme == "memory":
        size = dict(parse_qsl(parts.query)).get(_MAX_ENTRIES)
        yield MemoryCacheAdapter() if size is None else MemoryCacheAdapter(int(size))
        return
    cache = _redis(url)
    try:
        yield cache
    finally:
        await cache.close()


def _memory_problem(parts: SplitResult) -> str | None:
    if parts.netloc or parts.path or parts.fragment:
        return f"memory:// has no host and no path; {_KNOWN}"
    options = parse_qsl(parts.query, keep_blank_values=True)
    if [name for name, _ in options] not in ([], [_MAX_ENTRIES]):
        return f"memory:// takes the option {_MAX_ENTRIES} alone, once; {_KNOWN}"
    if any(not (value.isascii() and value.isdigit() and int(value) > 0) for _, value in options):
        return f"{_MAX_ENTRIES} must be a whole number above 0"
    return None


def _redis_problem(parts: SplitResult) -> str | None:
    database = parts.path.removeprefix("/")
    if not parts.hostname or parts.port == 0:
        return f"{parts.scheme}:// needs a host; {_KNOWN}"
    if database and not (database.isascii() and database.isdigit()):
        return f"a Redis database is a number, as in {parts.scheme}://host:6379/0"
    if parts.query or parts.fragment:
        return f"{parts.scheme}:// takes no options; {_KNOWN}"
    return None


def _redis(url: str) -> "RedisCacheAdapter":
    try:
        from cqrs.cache.redis import RedisCacheAdapter
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "redis":
            raise
        raise ConfigurationException(
            [
                "CACHE_URL names a Redis server, and the Redis client is not installed; install the extra with "
                "`pip install '.[redis]'`, or use memory://."
            ]
        ) from missing
    return RedisCacheAdapter.from_url(url)
