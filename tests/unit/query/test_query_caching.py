"""The cache step: what is kept, for how long, and what happens when the cache fails."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.config.properties import CqrsProperties, QueryProperties
from cqrs.decorators import query_handler
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.types import Command, Query


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


@dataclass(frozen=True)
class Find(Query[str | None]):
    x: int = 1
    user: str = "admin"
    extra: object = field(default=None)

    async def authorize(self) -> AuthorizationResult:
        return AuthorizationResult.success() if self.user == "admin" else AuthorizationResult.failure("order", "no")


class Named(Query[str | None]):
    def __init__(self, x: int) -> None:
        self.x = x

    def get_cache_key(self) -> str | None:
        return f"order:{self.x}" if self.x else None


class Plain(Query[str | None]):
    def __init__(self, x: int) -> None:
        self.x = x


Answer = Callable[[], Awaitable[str | None]]


async def a_result() -> str | None:
    return "found"


@query_handler(cacheable=True, cache_ttl=60)
class FindHandler(QueryHandler[Find, str | None]):
    def __init__(self, answer: Answer = a_result) -> None:
        self.answer = answer
        self.asked = 0

    async def do_handle(self, query: Find) -> str | None:
        self.asked += 1
        return await self.answer()


@query_handler(cacheable=True)
class NamedHandler(QueryHandler[Named, str | None]):
    asked = 0

    async def do_handle(self, query: Named) -> str | None:
        self.asked += 1
        return f"answer {self.asked}"


def bus_of(
    handler: QueryHandler[Find, str | None] | QueryHandler[Named, str | None] | QueryHandler[Plain, str | None],
    store: Store | None = None,
    recorded: Recorded | None = None,
    properties: CqrsProperties | None = None,
    default_cache_ttl: int = 900,
) -> DefaultQueryBus:
    registry = HandlerRegistry()
    registry.discover_from_beans([handler])
    return DefaultQueryBus(
        registry,
        metrics=CqrsMetricsService(recorded),
        cache_adapter=QueryCacheAdapter(store if store is not None else Store()),
        properties=properties,
        default_cache_ttl=default_cache_ttl,
    )


@pytest.mark.asyncio
async def test_a_cacheable_query_is_handled_once_and_counted() -> None:
    handler, store, recorded = FindHandler(), Store(), Recorded()
    bus = bus_of(handler, store, recorded)
    assert [await bus.query(Find()) for _ in range(3)] == ["found"] * 3
    assert handler.asked == 1
    assert recorded.cache == ["miss", "hit", "hit"]
    key = f":cqrs:{Find().get_cache_key()}"
    assert store.kept == {key: "found"}
    assert store.ttls == {key: timedelta(seconds=60)}


@pytest.mark.asyncio
async def test_a_cached_none_is_a_hit() -> None:
    async def nothing() -> str | None:
        return None

    handler = FindHandler(nothing)
    bus = bus_of(handler)
    assert [await bus.query(Find()) for _ in range(2)] == [None, None]
    assert handler.asked == 1


@pytest.mark.asyncio
async def test_different_questions_have_different_answers() -> None:
    handler = FindHandler()
    bus = bus_of(handler)
    await bus.query(Find(1))
    await bus.query(Find(2))
    assert handler.asked == 2


@pytest.mark.asyncio
async def test_plain_classes_that_differ_share_no_answer() -> None:
    @query_handler(cacheable=True)
    class PlainHandler(QueryHandler[Plain, str | None]):
        async def do_handle(self, query: Plain) -> str | None:
            return str(query.x)

    store = Store()
    bus = bus_of(PlainHandler(), store)
    assert [await bus.query(Plain(x)) for x in (1, 2, 1)] == ["1", "2", "1"]
    assert len(store.kept) == 2
    assert all(key.startswith(":cqrs:Plain:") for key in store.kept)


@pytest.mark.asyncio
async def test_only_cacheable_handlers_and_queries_are_kept() -> None:
    @query_handler
    class Uncached(FindHandler):
        pass

    store = Store()
    await bus_of(Uncached(), store).query(Find())
    query = Find()
    query.set_cacheable(False)
    handler = FindHandler()
    bus = bus_of(handler, store)
    await bus.query(query)
    assert store.kept == {}
    await bus.query(Find())
    await bus.query(query)
    assert handler.asked == 3, "a query that is not cacheable takes no kept answer either"


@pytest.mark.asyncio
async def test_no_key_keeps_nothing() -> None:
    store, handler = Store(), NamedHandler()
    bus = bus_of(handler, store)
    await bus.query(Named(0))
    await bus.query(Named(0))
    assert (handler.asked, store.kept) == (2, {})


@pytest.mark.asyncio
@pytest.mark.parametrize("ttl", [0, None])
async def test_a_ttl_of_zero_keeps_nothing_wherever_it_comes_from(ttl: int | None) -> None:
    @query_handler(cacheable=True, cache_ttl=ttl)
    class Unkept(FindHandler):
        pass

    store, recorded = Store(), Recorded()
    await bus_of(Unkept(), store, recorded, default_cache_ttl=900 if ttl == 0 else 0).query(Find())
    await bus_of(Unkept(), store, recorded, CqrsProperties(query=QueryProperties(cache_ttl=0))).query(Find())
    assert store.kept == {}
    assert recorded.cache == [], "a cache that keeps nothing is not asked either"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("default", "properties", "seconds"),
    [
        (900, None, 900),
        (30, None, 30),
        (900, CqrsProperties(query=QueryProperties(cache_ttl=20)), 20),
        (30, CqrsProperties(query=QueryProperties(cache_ttl=20)), 30),
    ],
)
async def test_the_time_to_live_of_the_bus(default: int, properties: CqrsProperties | None, seconds: int) -> None:
    store = Store()
    await bus_of(NamedHandler(), store, properties=properties, default_cache_ttl=default).query(Named(1))
    assert store.ttls == {":cqrs:order:1": timedelta(seconds=seconds)}


@pytest.mark.asyncio
async def test_the_prefix_of_the_handler_stands_before_the_key() -> None:
    @query_handler(cacheable=True, cache_key_prefix="orders")
    class Prefixed(NamedHandler):
        pass

    store = Store()
    bus = bus_of(Prefixed(), store)
    await bus.query(Named(1))
    assert list(store.kept) == [":cqrs:orders:order:1"]
    await bus.clear_cache("orders:order:1")
    assert store.kept == {}


@pytest.mark.asyncio
async def test_a_key_chosen_for_one_query_is_used() -> None:
    store = Store()
    query = Named(1)
    query.set_cache_key("chosen")
    await bus_of(NamedHandler(), store).query(query)
    assert list(store.kept) == [":cqrs:chosen"]


@pytest.mark.asyncio
async def test_caching_can_be_switched_off() -> None:
    store = Store()
    off = CqrsProperties(query=QueryProperties(caching_enabled=False))
    await bus_of(FindHandler(), store, properties=off).query(Find())
    assert store.kept == {}


@pytest.mark.asyncio
async def test_without_a_cache_the_bus_works() -> None:
    registry = HandlerRegistry()
    registry.register_query_handler(FindHandler())
    for bus in (DefaultQueryBus(registry), DefaultQueryBus(registry, cache_adapter=QueryCacheAdapter())):
        assert await bus.query(Find()) == "found"
        await bus.clear_cache("any")
        await bus.clear_all_cache()


@pytest.mark.asyncio
async def test_a_bare_cache_gets_prefixed_keys() -> None:
    store = Store()
    registry = HandlerRegistry()
    registry.register_query_handler(NamedHandler())
    await DefaultQueryBus(registry, cache_adapter=store).query(Named(1))
    assert list(store.kept) == [":cqrs:order:1"]


@pytest.mark.asyncio
async def test_authorization_comes_before_the_cache() -> None:
    bus = bus_of(FindHandler())
    allowed, denied = Find(), Find(user="someone")
    for query in (allowed, denied):
        query.set_cache_key("one key")
    await bus.query(allowed)
    with pytest.raises(AuthorizationException):
        await bus.query(denied)


@pytest.mark.asyncio
async def test_whether_the_cache_answered_is_on_the_span() -> None:
    tracer = RecordingTracer()
    registry = HandlerRegistry()
    registry.register_query_handler(FindHandler())
    bus = DefaultQueryBus(registry, cache_adapter=Store(), tracer=tracer)
    await bus.query(Find())
    await bus.query(Find())
    spans = [span for span in tracer.spans if span.name == "query Find"]
    assert [span.attributes["cqrs.cache.hit"] for span in spans] == [False, True]


# -- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", ["get", "put"])
async def test_a_failing_cache_is_a_miss_with_a_metric(operation: str, caplog: pytest.LogCaptureFixture) -> None:
    handler, recorded = FindHandler(), Recorded()
    bus = bus_of(handler, Store(operation), recorded)
    assert [await bus.query(Find()) for _ in range(2)] == ["found", "found"]
    assert handler.asked == 2
    assert recorded.cache.count(f"failed {operation}") == 2
    assert f"goes on without the cache: {operation} failed" in caplog.text


@pytest.mark.asyncio
async def test_a_query_without_a_stable_key_is_answered_and_not_kept() -> None:
    handler, recorded, store = FindHandler(), Recorded(), Store()
    assert await bus_of(handler, store, recorded).query(Find(extra=Lock())) == "found"
    assert recorded.cache == ["failed key"]
    assert store.kept == {}


@pytest.mark.asyncio
async def test_what_an_earlier_release_kept_under_the_key_is_a_miss() -> None:
    store = Store()
    store.kept[":cqrs:order:1"] = 17
    assert await bus_of(NamedHandler(), store).query(Named(1)) == "answer 1"
    assert store.kept[":cqrs:order:1"] == "answer 1"


@pytest.mark.asyncio
async def test_clearing_reports_a_failure_to_the_caller() -> None:
    bus = bus_of(FindHandler(), Store("evict"))
    with pytest.raises(OSError, match="evict failed"):
        await bus.clear_cache("order:1")


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_command_makes_the_result_stale_that_it_names() -> None:
    @dataclass(frozen=True)
    class Change(Command[None]):
        x: int

        def get_cache_key(self) -> str | None:
            return f"order:{self.x}"

    class ChangeHandler(CommandHandler[Change, None]):
        async def do_handle(self, command: Change) -> None:
            if command.x == 2:
                raise ValueError

    store = Store()
    handler = NamedHandler()
    queries = bus_of(handler, store)
    registry = HandlerRegistry()
    registry.register_command_handler(ChangeHandler())
    commands = DefaultCommandBus(registry, cache_adapter=store)

    await queries.query(Named(1))
    await queries.query(Named(2))
    await commands.send(Change(1))
    with pytest.raises(Exception, match="Change failed"):
        await commands.send(Change(2))
    assert list(store.kept) == [":cqrs:order:2"]
