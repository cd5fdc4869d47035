"""While the broker or the database is away nothing is lost, refused or passed; when it is back the record goes on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.application.get_order import GetOrder
from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import DEAD_LETTERS, SECONDS, Deployed, deployed, settings_in


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as started:
        for topic in (COMMANDS, DEAD_LETTERS, EVENTS):
            started.create_topic(topic, 3)
        yield started


@pytest_asyncio.fixture
async def orders(broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Deployed]:
    settings = settings_in(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, kafka_request_timeout_ms=1_000)
    async with deployed(order_service(settings)) as found:
        yield found


@pytest.mark.asyncio
async def test_a_broker_that_goes_while_the_command_is_handled_gets_its_event_when_it_is_back(
    orders: Deployed, broker: EmbeddedBroker
) -> None:
    orders.create("o-1")
    await orders.events(1)
    lock = sqlite3.connect(orders.service.settings.state_path / "service.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # the handler waits here, its command read and its event not yet sent
    orders.create("o-2")
    broker.broker_down()
    lock.execute("ROLLBACK")
    lock.close()

    assert "kafka" in str(await orders.unready())

    broker.broker_up()
    events = await orders.events(2)
    ids = {dict(each.message.headers)["ce_id"] for each in events if each.message.key == b"o-2"}
    assert len(ids) == 1
    await settled(orders, "o-2")
    assert await asyncio.to_thread(orders.client.read, [DEAD_LETTERS]) == []


@pytest.mark.asyncio
async def test_a_database_that_is_locked_holds_the_command_and_refuses_nothing(orders: Deployed) -> None:
    orders.create("o-1")
    await orders.events(1)
    lock = sqlite3.connect(orders.service.settings.state_path / "service.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    orders.create("o-2")

    assert "database" in str(await orders.unready())

    lock.execute("ROLLBACK")
    lock.close()
    await settled(orders, "o-2")
    assert len(await orders.events(2)) == 2
    assert await asyncio.to_thread(orders.client.read, [DEAD_LETTERS]) == []


async def settled(orders: Deployed, order_id: str) -> None:
    """Wait until the order is in the database, by the query bus."""
    async with asyncio.timeout(SECONDS):
        while await orders.service.query_bus.query(GetOrder(order_id)) is None:
            pass  # each query is a round trip to the database
