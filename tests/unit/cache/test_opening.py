import builtins
import sys
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.cache.opening import cache_url_problem, opened_cache
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException

GOOD = (
    "memory://",
    "memory://?max_entries=1",
    "redis://localhost",
    "redis://localhost/",
    "redis://:secret@localhost:6379/3",
    "rediss://user:secret@cache.example:6380/0",
    "redis://[::1]:6379/0",
)
BAD = {
    "": "no known cache",
    "localhost:6379": "no known cache",
    "memcached://secret": "no known cache",
    "memory:": None,
    "memory://secret": "no host",
    "memory:///secret": "no host",
    "memory://?max_entries=0": "above 0",
    "memory://?max_entries=": "above 0",
    "memory://?max_entries=\u0663": "above 0",
    "memory://?max_entries=1&max_entries=2": "alone, once",
    "memory://?max_size=secret": "alone, once",
    "redis://": "needs a host",
    "redis:///0": "needs a host",
    "redis://:secret@localhost:port/0": "no URL",
    "redis://[secret": "no URL",
    "redis://:secret@localhost/first": "is a number",
    "redis://:secret@localhost/0?socket_timeout=1": "no options",
}


@pytest.mark.parametrize("url", GOOD)
def test_these_name_a_cache(url: str) -> None:
    assert cache_url_problem(url) is None


@pytest.mark.parametrize(("url", "problem"), BAD.items())
def test_these_do_not_and_their_secret_is_not_told(url: str, problem: str | None) -> None:
    told = cache_url_problem(url)
    if problem is None:
        assert told is None
    else:
        assert told is not None
        assert problem in told
        assert "secret" not in told


@given(st.text())
def test_no_text_breaks_the_check(url: str) -> None:
    for each in (url, f"redis://{url}", f"memory://{url}"):
        assert cache_url_problem(each) is None or isinstance(cache_url_problem(each), str)


@pytest.mark.asyncio
@pytest.mark.parametrize(("url", "kept"), [("memory://?max_entries=2", 2), ("memory://", 3)])
async def test_memory_keeps_as_much_as_it_is_told(url: str, kept: int) -> None:
    async with opened_cache(url) as cache:
        assert isinstance(cache, MemoryCacheAdapter)
        for number in range(3):
            await cache.put(str(number), number)
        assert len(cache) == kept


@pytest.mark.asyncio
async def test_redis_is_made_without_being_asked_and_closed_behind_the_block() -> None:
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(opened_cache("redis://127.0.0.1:1/0"))
        assert type(cache).__name__ == "RedisCacheAdapter"
        with pytest.raises(DependencyUnavailableException):
            await cache.get("k")


@pytest.mark.asyncio
async def test_a_url_that_names_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationException, match="CACHE_URL: it names no known cache"):
        await AsyncExitStack().enter_async_context(opened_cache("file://x"))


@pytest.mark.asyncio
@pytest.mark.parametrize(("missing", "raised"), [("redis", ConfigurationException), ("ssl_of", ModuleNotFoundError)])
async def test_without_the_redis_client_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str, raised: type[Exception]
) -> None:
    genuine = builtins.__import__

    def importing(name: str, *args: object, **options: object) -> object:
        if name.startswith("redis"):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=f"{missing}.asyncio")
        return genuine(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "cqrs.cache.redis", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(raised) as refused:
        await AsyncExitStack().enter_async_context(opened_cache("redis://localhost"))
    assert ("pip install '.[redis]'" in str(refused.value)) == (raised is ConfigurationException)
