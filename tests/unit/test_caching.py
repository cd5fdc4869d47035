"""What opens a service's cache and keeps it fresh, and when nothing is read at all."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from cqrs.cache.adapter import MISSING, CacheAdapter, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.caching import EventFeed, keep_fresh, open_cache
from cqrs.command.registry import HandlerRegistry
from cqrs.config.auto_configuration import auto_configuration
from cqrs.config.properties import CqrsProperties, QueryProperties
from cqrs.config.settings import ServiceSettings
from cqrs.container import Container
from cqrs.decorators import query_handler
from cqrs.event.eda import EventPublisher, InProcessEventPublisher
from cqrs.messaging.invalidation import Reading
from cqrs.messaging.message import Message
from cqrs.messaging.values import Values
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.query.staleness import stale_after
from cqrs.serialization.json import JsonDecoder
from cqrs.types import Query


@dataclass(frozen=True)
class View:
    shop_id: str


@dataclass(frozen=True)
class Get(Query[View]):
    shop_id: str

    def get_cache_key(self) -> str:
        return f"shop:{self.shop_id}"


@stale_after("shop.Closed", key="shop:{shop_id}")
@query_handler(cacheable=True)
class GetHandler(QueryHandler[Get, View]):
    async def do_handle(self, query: Get) -> View:
        return View(query.shop_id)


class TypedCache(MemoryCacheAdapter):
    types: ClassVar[list[type]] = []

    def accept_types(self, types: frozenset[type]) -> None:
        self.types.extend(types)


class Reader:
    def __init__(self) -> None:
        self.started = self.stopped = False
        self.events: asyncio.Queue[Reading] = asyncio.Queue()
        self.events.put_nowait(Reading(missed=True))

    async def start(self) -> None:
        self.started = True

    async def poll(self, timeout_seconds: float) -> Reading:
        return await self.events.get()

    async def stop(self) -> None:
        self.stopped = True


class Metrics:
    def __init__(self) -> None:
        self.counted = asyncio.Event()

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        self.counted.set()

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        raise AssertionError(name)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def feed(reader: Reader | None, metrics: Metrics | None = None) -> EventFeed:
    return EventFeed(reader, Values({"application/json": JsonDecoder()}, max_bytes=1000), metrics or Metrics())


async def container(properties: CqrsProperties, instances: dict[type, object]) -> Container:
    made = Container(services=[GetHandler], instances=instances, defaults=[auto_configuration(properties)])
    (await made.get(HandlerRegistry)).discover_from_beans(await made.start())
    return made


@pytest.mark.asyncio
async def test_the_url_decides_what_the_container_gets() -> None:
    async with AsyncExitStack() as closing:
        assert await open_cache(ServiceSettings(), closing) == {}
        opened = await open_cache(ServiceSettings(cache_url=SecretStr("memory://")), closing)
        assert isinstance(opened.pop(CacheAdapter), MemoryCacheAdapter)
        assert not opened


@pytest.mark.asyncio
async def test_an_event_makes_stale_what_the_handler_says_and_the_cache_knows_the_types() -> None:
    settings, cache, reader, metrics = ServiceSettings(cache_settle_ms=0), TypedCache(), Reader(), Metrics()
    made = await container(settings.cqrs, {CacheAdapter: cache})
    async with AsyncExitStack() as closing:
        await keep_fresh(settings, made, feed(reader, metrics), closing)
        assert cache.types == [View]
        assert await (await made.get(DefaultQueryBus)).query(Get("1")) == View("1")
        adapter = await made.get(QueryCacheAdapter)
        assert await adapter.lookup("shop:1") == View("1")

        closed = Message("shop.events", 0, 0, None, b'{"shop_id": "1"}', (("ce_type", b"shop.Closed"),))
        reader.events.put_nowait(Reading((closed,)))
        async with asyncio.timeout(5):
            await metrics.counted.wait()
        assert await adapter.lookup("shop:1") is MISSING
        assert not reader.stopped
    assert reader.stopped


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", ["no cache", "an event bus and no cache", "caching is off"])
async def test_nothing_is_read_without_need(reason: str) -> None:
    caching = QueryProperties(caching_enabled=reason != "caching is off")
    settings, reader = ServiceSettings(cqrs=CqrsProperties(query=caching)), Reader()
    instances: dict[type, object] = {
        "no cache": {},
        "an event bus and no cache": {EventPublisher: InProcessEventPublisher()},
        "caching is off": {CacheAdapter: MemoryCacheAdapter()},
    }[reason]  # type: ignore[assignment]
    async with AsyncExitStack() as closing:
        await keep_fresh(settings, await container(settings.cqrs, instances), feed(reader), closing)
        assert not reader.started


@pytest.mark.asyncio
async def test_a_service_that_publishes_nothing_has_its_rules_all_the_same() -> None:
    settings = ServiceSettings()
    made = await container(settings.cqrs, {CacheAdapter: MemoryCacheAdapter()})
    async with AsyncExitStack() as closing:
        await keep_fresh(settings, made, feed(None), closing)
    assert (await made.get(EdaCacheInvalidationBridge)).has_rule_for("shop.Closed")
