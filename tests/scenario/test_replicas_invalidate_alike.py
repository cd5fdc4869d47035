"""Rule: what one replica's command changes, no replica goes on answering from its cache; committed or not yet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from cqrs.cache.adapter import MISSING, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.event.eda import EventEnvelope
from cqrs.testing.embedded_broker import EmbeddedBroker
from service.application.add_item import AddItem
from service.application.cancel_order import CancelOrder
from service.application.create_order import CreateOrder
from service.application.get_order import GetOrder
from service.application.order_view import OrderView
from service.bootstrap import order_service
from service.domain.item import OrderItem
from service.settings import COMMANDS, EVENTS, PARTITIONS
from tests.redis_server import RedisServer, redis_server
from tests.scenario.deployment import SECONDS, Deployed, deployed, settings_in

__all__ = ["redis_server"]

ITEM = OrderItem("A", 2, Decimal("9.99"))


class Replica:
    """Be one replica, and hear when it has taken note of an event."""

    def __init__(self, found: Deployed, cache: QueryCacheAdapter, bridge: EdaCacheInvalidationBridge) -> None:
        self.deployed = found
        self.service = found.service
        self.cache = cache
        self._noted: asyncio.Queue[str] = asyncio.Queue()
        evict = bridge.on_envelope

        async def on_envelope(envelope: EventEnvelope, **options: object) -> None:
            await evict(envelope, **options)  # type: ignore[arg-type]
            self._noted.put_nowait(envelope.event_type)

        bridge.on_envelope = on_envelope  # type: ignore[method-assign]

    @classmethod
    async def of(cls, found: Deployed) -> "Replica":
        bridge = await found.service.container.find(EdaCacheInvalidationBridge)
        assert bridge is not None
        return cls(found, await found.service.container.get(QueryCacheAdapter), bridge)

    async def noted(self, event_type: str) -> None:
        async with asyncio.timeout(SECONDS):
            while await self._noted.get() != event_type:
                pass

    async def answer(self) -> OrderView | None:
        return await self.service.query_bus.query(GetOrder("o-1"))


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        for topic in (COMMANDS, f"{COMMANDS}-dlt", EVENTS):
            running.create_topic(topic, PARTITIONS)
        yield running


class Fleet:
    """Start replicas that share a broker, a database and a schema registry."""

    def __init__(self, closing: AsyncExitStack, broker: EmbeddedBroker, folder: Path) -> None:
        self._closing = closing
        self._broker = broker
        self._folder = folder

    async def replica(self, group: str, cache_url: str, settle_ms: int) -> Replica:
        settings = settings_in(
            self._folder,
            kafka_bootstrap_servers=self._broker.bootstrap_servers,
            kafka_group_id=group,  # the embedded broker serves one member a group
            cache_url=cache_url,
            cache_settle_ms=settle_ms,
        )
        return await Replica.of(await self._closing.enter_async_context(deployed(order_service(settings))))

    async def pair(self, cache_url: str = "memory://", settle_ms: int = 0) -> tuple[Replica, Replica]:
        return await self.replica("one", cache_url, settle_ms), await self.replica("two", cache_url, settle_ms)


@pytest_asyncio.fixture
async def fleet(broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as closing:
        yield Fleet(closing, broker, tmp_path)


async def both_follow(one: Replica, two: Replica) -> None:
    """Change an order again and again, now in one replica, now in the other; both answer with what is true."""
    both = (one, two)
    assert [await each.answer() for each in both] == [None, None]  # an answer that is kept as well
    changes = (
        (one, CreateOrder("o-1", "c-1", (ITEM,), "EUR"), "orders.OrderCreated"),
        (two, AddItem("o-1", ITEM), "orders.ItemAdded"),
        (one, CancelOrder("o-1", "c-1", "changed my mind"), "orders.OrderCancelled"),
    )
    for version, (handling, command, event) in enumerate(changes, start=1):
        await handling.service.command_bus.send(command)
        for each in both:
            await each.noted(event)
        for each in both:
            order = await each.answer()
            assert order is not None
            assert order.version == version
            assert await each.cache.lookup("order:o-1") == order, "the answer was not kept, so nothing was proved"


@pytest.mark.asyncio
async def test_replicas_with_a_memory_each_answer_alike(fleet: Fleet) -> None:
    await both_follow(*await fleet.pair())


@pytest.mark.redis
@pytest.mark.asyncio
async def test_replicas_with_one_redis_answer_alike(fleet: Fleet, redis_server: RedisServer) -> None:
    await both_follow(*await fleet.pair(redis_server.url))


@pytest.mark.asyncio
async def test_what_is_read_between_the_event_and_its_commit_is_not_kept(fleet: Fleet) -> None:
    one, two = await fleet.pair(settle_ms=600_000)
    await one.service.command_bus.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR"))
    await two.noted("orders.OrderCreated")

    first = await two.answer()
    assert first is not None
    assert await two.cache.lookup("order:o-1") is MISSING
    await one.service.command_bus.send(AddItem("o-1", ITEM))  # its event may come at any time, or never
    second = await two.answer()
    assert second is not None
    assert (first.version, second.version) == (1, 2)


@pytest.mark.redis
@pytest.mark.asyncio
async def test_what_redis_kept_while_nobody_listened_is_forgotten_at_the_start(
    fleet: Fleet, redis_server: RedisServer
) -> None:
    one = await fleet.replica("one", redis_server.url, 0)
    await one.service.command_bus.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR"))
    await one.noted("orders.OrderCreated")
    assert await one.answer() is not None
    await one.service.stop()

    two = await fleet.replica("two", redis_server.url, 0)
    assert await two.cache.lookup("order:o-1") is MISSING


@pytest.mark.asyncio
async def test_an_event_that_cannot_be_read_stops_nothing(fleet: Fleet) -> None:
    one, two = await fleet.pair()
    assert await two.answer() is None
    for value in (b"\x00\x00\x00\x00\x01broken", b"{", b"[1]", None):
        headers = (("ce_type", b"orders.OrderCreated"),)
        await one.deployed.produce(value, headers, key=b"o-1", topic=EVENTS)

    await one.service.command_bus.send(CreateOrder("o-1", "c-1", (ITEM,), "EUR"))
    await two.noted("orders.OrderCreated")
    assert await two.answer() is not None
