"""What `CacheAdapter` promises: `class TestMyCache(CacheAdapterContract)` with a fixture `cache`."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cqrs.cache.adapter import MISSING, CacheAdapter, PrefixEvicting, QueryCacheAdapter, TypeAccepting
from cqrs.testing.contracts.contract import Contract


@dataclass(frozen=True)
class CachedView:
    """Be an answer of a query, as services have them."""

    order_id: str
    total: Decimal
    at: datetime
    items: tuple[str, ...] = ()


VIEW = CachedView("o-1", Decimal("9.90"), datetime(2026, 1, 31, 12, tzinfo=UTC), ("a", "b"))


class CacheAdapterContract(Contract):
    """Hold a `CacheAdapter` to its port; needs a fixture `cache`, empty for each test."""

    async def pass_time(self, time: timedelta) -> None:
        """Let the cache's clock go on; override it where the clock can be set."""
        await asyncio.sleep(time.total_seconds())

    @pytest.mark.asyncio
    @pytest.mark.parametrize("value", [0, "", False, [], "ä", {"k": [1, None]}, 2**70], ids=repr)
    async def test_values_come_back_as_they_went(self, cache: CacheAdapter, value: object) -> None:
        """Tell a value that is false from none at all."""
        await cache.put("k", value)

        found = await cache.get("k")
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.asyncio
    async def test_objects_of_classes_that_it_was_told_come_back(self, cache: CacheAdapter) -> None:
        """Keep the answers of queries, exact numbers and times too."""
        if isinstance(cache, TypeAccepting):
            cache.accept_types([CachedView])

        await cache.put("k", [VIEW])

        assert await cache.get("k") == [VIEW]

    @pytest.mark.asyncio
    async def test_what_is_unknown_is_none(self, cache: CacheAdapter) -> None:
        """Answer None for a key that was never put."""
        assert await cache.get("k") is None

    @pytest.mark.asyncio
    async def test_evicting_forgets_one_key_and_says_whether_it_was_there(self, cache: CacheAdapter) -> None:
        """Leave the others."""
        await cache.put("a", 1)
        await cache.put("b", 2)

        assert await cache.evict("a")
        assert not await cache.evict("a")
        assert (await cache.get("a"), await cache.get("b")) == (None, 2)

    @pytest.mark.asyncio
    async def test_a_value_is_gone_when_its_time_is_over(self, cache: CacheAdapter) -> None:
        """Count the time from the last put, and keep without end what is given none."""
        await cache.put("short", 1, timedelta(seconds=0.2))
        await cache.put("renewed", 1, timedelta(seconds=0.2))
        await cache.put("renewed", 2)
        await cache.put("endless", 3)
        assert await cache.get("short") == 1

        await self.pass_time(timedelta(seconds=0.3))

        assert [await cache.get(key) for key in ("short", "renewed", "endless")] == [None, 2, 3]

    @pytest.mark.asyncio
    async def test_changing_what_was_put_or_got_changes_nothing_kept(self, cache: CacheAdapter) -> None:
        """Let nobody change another's answer."""
        mine = {"items": ["a"]}
        await cache.put("k", mine)
        mine["items"].append("b")

        theirs = await cache.get("k")
        assert theirs == {"items": ["a"]}
        assert isinstance(theirs, dict)
        theirs["items"].clear()
        assert await cache.get("k") == {"items": ["a"]}

    @pytest.mark.asyncio
    async def test_a_prefix_is_meant_literally_and_others_keys_stay(self, cache: CacheAdapter) -> None:
        """Clear what the query bus keeps, whichever process put it there, and nothing else of a shared cache."""
        if not isinstance(cache, PrefixEvicting):
            pytest.skip(f"{type(cache).__name__} is no PrefixEvicting: it is cleared of what one process put there")
        for key in ("a*b:1", "a*b:2", "aXb:1", "a[1]", "a1"):
            await cache.put(key, 1)

        assert await cache.evict_by_prefix("a*b") == 2
        assert await cache.evict_by_prefix("a[1]") == 1
        assert [await cache.get(key) for key in ("a*b:1", "aXb:1", "a[1]", "a1")] == [None, 1, None, 1]

    @pytest.mark.asyncio
    async def test_it_serves_the_query_bus(self, cache: CacheAdapter) -> None:
        """Keep an answer that is None, and forget all answers and nothing else when it is cleared."""
        answers = QueryCacheAdapter(cache)
        await cache.put("session:1", "foreign")
        await answers.put("nothing", None)
        await answers.put("order", [1])
        assert [await answers.lookup(key) for key in ("nothing", "order", "other")] == [None, [1], MISSING]

        await answers.clear()

        assert [await answers.lookup(key) for key in ("nothing", "order")] == [MISSING, MISSING]
        assert await cache.get("session:1") == "foreign"
