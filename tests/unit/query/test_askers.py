"""Answers that depend on who asks: kept for each asker apart, cleared for all of them at once."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import ClassVar

import pytest

from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import query_handler
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.types import Query


class Store:
    """Be a cache that remembers what it is asked, and fails where told."""

    def __init__(self, failing: str = "") -> None:
        self.kept: dict[str, object] = {}
        self.ttls: dict[str, timedelta | None] = {}
        self.failing = failing

    async def get(self, key: str) -> object:
        self._fail("get")
        return self.kept.get(key)

    async def put(self, key: str, value: object, ttl: timedelta | None = None) -> None:
        self._fail("put")
        self.kept[key] = value
        self.ttls[key] = ttl

    async def evict(self, key: str) -> object:
        self._fail("evict")
        return self.kept.pop(key, None)

    def _fail(self, operation: str) -> None:
        if self.failing == operation:
            raise OSError(f"{operation} failed")


class Recorded:
    def __init__(self) -> None:
        self.cache: list[str] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        if "cache" in name:
            self.cache.append(labels.get("outcome") or f"failed {labels['operation']}")

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        assert seconds >= 0


class Named(Query[str | None]):
    def __init__(self, x: int) -> None:
        self.x = x

    def get_cache_key(self) -> str | None:
        return f"order:{self.x}" if self.x else None


@query_handler(cacheable=True)
class Aware(ContextAwareQueryHandler[Named, str | None]):
    asked = 0

    async def do_handle_with_context(self, query: Named, context: ExecutionContext) -> str | None:
        self.asked += 1
        return f"{context.tenant_id}/{context.user_id} {self.asked}"


def bus_of(
    handler: QueryHandler[Named, str | None], store: Store | None = None, recorded: Recorded | None = None
) -> DefaultQueryBus:
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    cache = QueryCacheAdapter(store if store is not None else Store())
    return DefaultQueryBus(registry, metrics=CqrsMetricsService(recorded), cache_adapter=cache)


@pytest.mark.asyncio
async def test_an_answer_that_depends_on_the_context_is_kept_for_each_asker_apart() -> None:
    handler = Aware()
    bus = bus_of(handler)
    askers = [
        DefaultExecutionContext(user_id="a", tenant_id="t"),
        DefaultExecutionContext(user_id="b", tenant_id="t"),
        DefaultExecutionContext(user_id="a", tenant_id="u"),
        DefaultExecutionContext(user_id="a", tenant_id="t", properties={"role": "auditor"}),
        DefaultExecutionContext(user_id="a", tenant_id="t", feature_flags={"new": True}),
    ]
    first = [await bus.query_with_context(Named(1), asker) for asker in askers]
    assert len(set(first)) == len(askers)
    assert [await bus.query_with_context(Named(1), asker) for asker in askers] == first
    assert handler.asked == len(askers)


@pytest.mark.asyncio
async def test_a_plain_handler_that_makes_use_of_a_context_shares_no_answer_either() -> None:
    @query_handler(cacheable=True)
    class Either(QueryHandler[Named, str | None]):
        async def do_handle(self, query: Named) -> str | None:
            return "nobody"

        async def do_handle_with_context(self, query: Named, context: ExecutionContext, /) -> str | None:
            return context.user_id

    bus = bus_of(Either())
    assert await bus.query_with_context(Named(1), DefaultExecutionContext(user_id="a")) == "a"
    assert await bus.query_with_context(Named(1), DefaultExecutionContext(user_id="b")) == "b"
    assert await bus.query(Named(1)) == "nobody"


class Session:
    """Be a context that keeps nothing on the instance."""

    user_id = tenant_id = organization_id = session_id = request_id = source = client_ip = user_agent = None
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    feature_flags: ClassVar[dict[str, bool]] = {}
    properties: ClassVar[dict[str, object]] = {}

    def get_feature_flag(self, name: str, default: bool = False) -> bool:
        return self.feature_flags.get(name, default)

    def get_property(self, key: str, default: object = None) -> object:
        return self.properties.get(key, default)


@pytest.mark.asyncio
@pytest.mark.parametrize("said", [Session.feature_flags, Session.properties], ids=["flags", "properties"])
async def test_what_a_context_says_counts_wherever_it_keeps_it(said: dict[str, object]) -> None:
    handler = Aware()
    bus = bus_of(handler)
    for value in (True, False, True):
        said["new"] = value
        await bus.query_with_context(Named(1), Session())
    said.clear()
    assert handler.asked == 2


@pytest.mark.asyncio
async def test_the_id_and_time_of_a_request_are_no_part_of_the_asker() -> None:
    handler = Aware()
    bus = bus_of(handler)
    for request in ("1", "2"):
        await bus.query_with_context(Named(1), DefaultExecutionContext(user_id="a", request_id=request))
    assert handler.asked == 1


@pytest.mark.asyncio
async def test_clearing_one_key_clears_it_for_every_asker() -> None:
    handler = Aware()
    bus = bus_of(handler)
    for _ in range(2):
        for user in "ab":
            await bus.query_with_context(Named(1), DefaultExecutionContext(user_id=user))
        await bus.clear_cache("order:1")
    assert handler.asked == 4


@pytest.mark.asyncio
async def test_a_context_without_stable_content_keeps_nothing() -> None:
    handler, recorded = Aware(), Recorded()
    bus = bus_of(handler, recorded=recorded)
    context = DefaultExecutionContext(properties={"lock": Lock()})
    assert [await bus.query_with_context(Named(1), context) for _ in range(2)] == ["None/None 1", "None/None 2"]
    assert recorded.cache == ["failed key"] * 2


@pytest.mark.asyncio
async def test_a_generation_that_cannot_be_kept_keeps_nothing() -> None:
    handler = Aware()
    bus = bus_of(handler, Store("put"))
    context = DefaultExecutionContext(user_id="a")
    assert [await bus.query_with_context(Named(1), context) for _ in range(2)] == ["None/a 1", "None/a 2"]


@pytest.mark.asyncio
async def test_while_the_key_is_withheld_no_asker_is_answered_from_the_cache_and_nothing_is_written() -> None:
    handler, store, asker = Aware(), Store(), DefaultExecutionContext(user_id="a", tenant_id="t")
    clock = [0.0]
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    cache = QueryCacheAdapter(store, clock=lambda: clock[0])
    bus = DefaultQueryBus(registry, cache_adapter=cache)
    assert await bus.query_with_context(Named(1), asker) == "t/a 1"
    await cache.withhold("order:1", timedelta(seconds=5))
    before = dict(store.kept)
    assert [await bus.query_with_context(Named(1), asker) for _ in range(2)] == ["t/a 2", "t/a 3"]
    assert store.kept == before
    clock[0] = 5.0
    assert [await bus.query_with_context(Named(1), asker) for _ in range(2)] == ["t/a 4"] * 2
