"""Concurrent misses of one key: one computation, whatever becomes of those who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import query_handler
from cqrs.exceptions import QueryProcessingException
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.types import Query


class Store:
    def __init__(self) -> None:
        self.kept: dict[str, object] = {}

    async def get(self, key: str) -> object:
        return self.kept.get(key)

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        self.kept[key] = value

    async def evict(self, key: str) -> object:
        return self.kept.pop(key, None)


@dataclass(frozen=True)
class Find(Query[str | None]):
    x: int = 1


Answer = Callable[[], Awaitable[str | None]]


@query_handler(cacheable=True, cache_ttl=60)
class FindHandler(QueryHandler[Find, str | None]):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def do_handle(self, query: Find) -> str | None:
        return await self.answer()


def bus_of(handler: QueryHandler[Find, str | None], store: Store | None = None) -> DefaultQueryBus:
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    return DefaultQueryBus(registry, cache_adapter=QueryCacheAdapter(store if store is not None else Store()))


class Gate:
    """Hold computations until opened; count them and note when one has begun."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.begun = asyncio.Event()
        self.opened = asyncio.Event()
        self.failing = failing
        self.count = 0

    async def __call__(self) -> str | None:
        self.count += 1
        mine = self.count
        self.begun.set()
        await self.opened.wait()
        if self.failing is not None:
            raise self.failing
        return f"answer {mine}"


async def asking(bus: DefaultQueryBus, count: int) -> list[asyncio.Task[str | None]]:
    """Start so many queries and return once each of them waits."""
    tasks = [asyncio.create_task(bus.query(Find())) for _ in range(count)]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.asyncio
async def test_concurrent_misses_of_one_key_are_one_computation() -> None:
    gate = Gate()
    tasks = await asking(bus_of(FindHandler(gate)), 5)
    gate.opened.set()
    assert await asyncio.gather(*tasks) == ["answer 1"] * 5
    assert gate.count == 1


@pytest.mark.asyncio
async def test_an_error_of_the_one_computation_is_everybodys() -> None:
    failure = ValueError("broken")
    gate = Gate(failure)
    tasks = await asking(bus_of(FindHandler(gate)), 3)
    gate.opened.set()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, QueryProcessingException)
        assert outcome.cause is failure
    assert gate.count == 1


@pytest.mark.asyncio
async def test_when_the_one_that_computes_is_cancelled_another_takes_over() -> None:
    gate = Gate()
    leader, *followers = await asking(bus_of(FindHandler(gate)), 3)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    gate.opened.set()
    assert await asyncio.gather(*followers) == ["answer 2"] * 2


@pytest.mark.asyncio
async def test_a_follower_that_is_cancelled_disturbs_nobody() -> None:
    gate = Gate()
    leader, follower, other = await asking(bus_of(FindHandler(gate)), 3)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    gate.opened.set()
    assert list(await asyncio.gather(leader, other)) == ["answer 1"] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize("everything", [True, False])
async def test_what_was_being_computed_when_the_key_was_cleared_is_not_kept(everything: bool) -> None:
    gate, later, store = Gate(), Gate(), Store()
    handler = FindHandler(gate)
    bus = bus_of(handler, store)
    (before,) = await asking(bus, 1)
    await (bus.clear_all_cache() if everything else bus.clear_cache(str(Find().get_cache_key())))
    handler.answer = later
    (after,) = await asking(bus, 1)
    assert later.count == 1, "what began before the clearing is not waited for"
    gate.opened.set()
    await before
    assert store.kept == {}
    later.opened.set()
    await after
    assert len(store.kept) == 1


@pytest.mark.asyncio
async def test_askers_do_not_share_a_computation() -> None:
    both_in = asyncio.Barrier(2)

    @query_handler(cacheable=True)
    class Meeting(ContextAwareQueryHandler[Find, str | None]):
        async def do_handle_with_context(self, query: Find, context: ExecutionContext) -> str | None:
            await both_in.wait()
            return context.user_id

    bus = bus_of(Meeting())
    asked = [bus.query_with_context(Find(), DefaultExecutionContext(user_id=user)) for user in "ab"]
    assert list(await asyncio.gather(*asked)) == ["a", "b"]


@pytest.mark.asyncio
async def test_a_handler_that_asks_its_own_question_does_not_wait_for_itself() -> None:
    buses: list[DefaultQueryBus] = []
    depth: list[int] = []

    async def recursive() -> str | None:
        depth.append(1)
        return "leaf" if len(depth) > 1 else f"root of {await asyncio.create_task(again())}"

    async def again() -> str | None:
        return await buses[0].query(Find())

    buses.append(bus_of(FindHandler(recursive)))
    assert await buses[0].query(Find()) == "root of leaf"
