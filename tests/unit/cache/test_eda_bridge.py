import logging
from datetime import timedelta

import pytest

from cqrs.cache.adapter import MISSING, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.event.eda import EventEnvelope, InProcessEventPublisher


class Recording(QueryCacheAdapter):
    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.evicted: list[str] = []
        self._failing = failing

    async def evict(self, key: str) -> bool:
        self.evicted.append(key)
        if key == self._failing:
            raise ConnectionError(key)
        return True


@pytest.mark.asyncio
async def test_events_of_the_bus_evict_what_was_registered_for_them() -> None:
    memory = MemoryCacheAdapter()
    cache = QueryCacheAdapter(memory)
    bus = InProcessEventPublisher()
    bridge = EdaCacheInvalidationBridge(cache)
    bridge.subscribe(bus)
    bridge.register("order.updated", "order:{order_id}")
    for key in ("order:1", "order:2", "customer:1"):
        await cache.put(key, key)

    await bus.publish("topic", "order.updated", {"order_id": 1})
    await bus.publish("topic", "order.deleted", {"order_id": 2})
    assert [await cache.lookup(key) for key in ("order:1", "order:2", "customer:1")] == [
        MISSING,
        "order:2",
        "customer:1",
    ]


@pytest.mark.asyncio
async def test_one_event_type_may_have_many_patterns() -> None:
    cache = Recording()
    bridge = EdaCacheInvalidationBridge(cache)
    for pattern in ("order:{order_id}", "customer:{customer_id}:{order_id}", "orders", "orders"):
        bridge.register("order.updated", pattern)
    await bridge.on_envelope(EventEnvelope("order.updated", {"order_id": "o", "customer_id": "c"}))
    assert cache.evicted == ["order:o", "customer:c:o", "orders"]


@pytest.mark.asyncio
@pytest.mark.parametrize("payload", [{}, {"order_id": None}])
async def test_a_placeholder_without_its_field_stays_and_is_logged(
    payload: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    cache = Recording()
    bridge = EdaCacheInvalidationBridge(cache)
    bridge.register("order.updated", "order:{order_id}")
    bridge.register("order.updated", "orders")
    with caplog.at_level(logging.WARNING):
        await bridge.on_envelope(EventEnvelope("order.updated", payload))
    assert cache.evicted == ["order:{order_id}", "orders"]
    assert "order.updated has no order_id to fill in order:{order_id}" in caplog.text


@pytest.mark.asyncio
async def test_a_key_that_cannot_be_evicted_is_told_after_the_others_were() -> None:
    cache = Recording(failing="a")
    bridge = EdaCacheInvalidationBridge(cache)
    bridge.register("e", "a")
    bridge.register("e", "b")
    with pytest.raises(ConnectionError):
        await bridge.on_envelope(EventEnvelope("e", {}))
    assert cache.evicted == ["a", "b"]


@pytest.mark.asyncio
async def test_what_settles_is_withheld_for_that_time_and_otherwise_evicted() -> None:
    memory = MemoryCacheAdapter()
    for settling, withheld in ((timedelta(hours=1), True), (timedelta(0), False)):
        cache = QueryCacheAdapter(memory)
        bridge = EdaCacheInvalidationBridge(cache)
        bridge.register("e", "k")
        await cache.put("k", 1)
        await bridge.on_envelope(EventEnvelope("e", {}), settling=settling)
        assert await memory.get(":cqrs:k") is None
        assert cache.withholds("k") is withheld


def test_it_says_which_events_have_a_rule() -> None:
    bridge = EdaCacheInvalidationBridge(QueryCacheAdapter())
    bridge.register("order.updated", "orders")
    assert bridge.has_rule_for("order.updated")
    assert not bridge.has_rule_for("order.deleted")
