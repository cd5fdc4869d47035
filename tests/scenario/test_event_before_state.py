"""An event is acknowledged before its state is committed, and the offset moves after both: a crash loses neither."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import OutgoingMessage, Receipt
from cqrs.runtime import Service
from cqrs.sql.unit_of_work import SqlUnitOfWork
from service.application.get_order import GetOrder
from service.bootstrap import order_service
from tests.scenario.deployment import Deployed, deployed, settings_in


class Crashes:
    """Fail a number of commits, each after the handler wrote and its event was acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.left = count
        self.committed = asyncio.Event()
        self._begin = SqlUnitOfWork.begin
        monkeypatch.setattr(SqlUnitOfWork, "begin", self._wrapped())

    def _wrapped(self) -> Callable[[SqlUnitOfWork], object]:
        crashes = self

        @asynccontextmanager
        async def begin(unit: SqlUnitOfWork) -> AsyncIterator[None]:
            async with crashes._begin(unit):
                yield
                if crashes.left:
                    crashes.left -= 1
                    raise DependencyUnavailableException("database", "the commit was lost on purpose")
            crashes.committed.set()

        return begin


async def state(found: Deployed, order_id: str) -> object:
    return await found.service.query_bus.query(GetOrder(order_id))


@pytest.mark.asyncio
async def test_a_commit_that_fails_repeats_the_event_with_the_same_id_and_the_state_follows(
    orders: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = Crashes(monkeypatch, 2)
    orders.create("o-1")

    events = await orders.events(3)

    assert len({dict(each.message.headers)["ce_id"] for each in events}) == 1, "a reader can tell the repeats"
    assert len({each.message.value for each in events}) == 1, "and they say the same"
    await asyncio.wait_for(crashes.committed.wait(), 20)
    found = await state(orders, "o-1")
    assert getattr(found, "version", None) == 1
    assert await letters_now(orders) == 0


async def letters_now(found: Deployed) -> int:
    return len(await asyncio.to_thread(found.client.read, ["orders.commands-dlt"]))


@pytest.mark.asyncio
async def test_without_its_acknowledgement_no_state_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publication hangs: at that moment the order is in no table that another connection sees."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    service: Service = order_service(settings_in(tmp_path))
    async with deployed(service) as found:
        send = service._kafka_producer.send

        async def held(message: OutgoingMessage) -> Receipt:
            if message.topic == "orders.events":
                reached.set()
                await go_on.wait()
            return await send(message)

        monkeypatch.setattr(service._kafka_producer, "send", held)
        found.create("o-1")
        await asyncio.wait_for(reached.wait(), 20)

        assert await state(found, "o-1") is None
        assert await committed(found) == 0
        go_on.set()
        await found.events(1)


async def committed(found: Deployed) -> int:
    """Return the sum of the group's committed offsets, as the broker knows them."""

    def ask() -> int:
        consumer = Consumer({"bootstrap.servers": found.service.bootstrap_servers, "group.id": "orders"})
        try:
            partitions = [TopicPartition("orders.commands", number) for number in range(3)]
            return sum(max(each.offset, 0) for each in consumer.committed(partitions, 20))
        finally:
            consumer.close()

    return await asyncio.to_thread(ask)


@pytest.mark.asyncio
async def test_a_service_that_dies_between_event_and_state_leaves_the_command_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first service never commits; the second one, on the same broker and database, finishes the command."""
    crashes = Crashes(monkeypatch, 10**9)
    first = order_service(settings_in(tmp_path, kafka_session_timeout_ms=1_000))
    async with deployed(first) as found:
        found.create("o-1")
        seen = await found.events(2)
        await first.stop_consuming()
        assert await committed(found) == 0
        crashes.left = 0
        second = order_service(settings_in(tmp_path, kafka_bootstrap_servers=found.service.bootstrap_servers))
        async with deployed(second) as again:
            repeated = await again.events(len(seen) + 1)
            await asyncio.wait_for(crashes.committed.wait(), 20)
            assert await state(again, "o-1") is not None

    assert len({dict(each.message.headers)["ce_id"] for each in repeated}) == 1
