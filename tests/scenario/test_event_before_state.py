"""An event is acknowledged before its state is committed, and the offset moves after both: a crash loses neither."""

import asyncio
from pathlib import Path

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.runtime import Service
from cqrs.testing.crash_points import CrashAt, CrashPoint
from cqrs.testing.passages import Passages
from cqrs.wrapping import wrapped
from service.application.get_order import GetOrder
from service.bootstrap import order_service
from service.settings import COMMANDS
from tests.scenario.deployment import Deployed, deployed, settings_in


class Crashes:
    """Fail a number of commits, each after the handler wrote and its event was acknowledged."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.committed = asyncio.Event()

    def __call__(self, point: CrashPoint) -> None:
        if point is CrashPoint.BEFORE_STATE_COMMIT and self.left:
            self.left -= 1
            raise DependencyUnavailableException("database", "the commit was lost on purpose")
        if point is CrashPoint.AFTER_STATE_COMMIT:
            self.committed.set()


def crashing(crashes: Crashes, folder: Path, **changed: object) -> Service:
    with wrapped(Passages(crashes)):
        return order_service(settings_in(folder, **changed))


async def state(found: Deployed, order_id: str) -> object:
    return await found.service.query_bus.query(GetOrder(order_id))


async def committed(found: Deployed) -> dict[int, int]:
    return await asyncio.to_thread(found.client.committed, "orders", COMMANDS)


@pytest.mark.asyncio
async def test_a_commit_that_fails_repeats_the_event_with_the_same_id_and_the_state_follows(tmp_path: Path) -> None:
    crashes = Crashes(2)
    async with deployed(crashing(crashes, tmp_path)) as orders:
        orders.create("o-1")

        events = await orders.events(3)

        assert len({dict(each.message.headers)["ce_id"] for each in events}) == 1, "a reader can tell the repeats"
        assert len({each.message.value for each in events}) == 1, "and they say the same"
        await asyncio.wait_for(crashes.committed.wait(), 20)
        found = await state(orders, "o-1")
        assert getattr(found, "version", None) == 1
        assert await asyncio.to_thread(orders.client.read, ["orders.commands-dlt"]) == []


@pytest.mark.asyncio
async def test_without_its_acknowledgement_no_state_is_committed(tmp_path: Path) -> None:
    """The acknowledgement does not arrive: at that moment the order is in no table that another connection sees."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    with wrapped(Passages(CrashAt("sent", do=hold))):
        service = order_service(settings_in(tmp_path))
    async with deployed(service) as found:
        found.create("o-1")
        await asyncio.wait_for(reached.wait(), 20)

        assert await state(found, "o-1") is None
        assert await committed(found) == {}
        go_on.set()
        await found.events(1)


@pytest.mark.asyncio
async def test_a_service_that_dies_between_event_and_state_leaves_the_command_to_the_next_one(tmp_path: Path) -> None:
    """The first service never commits; the second one, on the same broker and database, finishes the command."""
    crashes = Crashes(10**9)
    first = crashing(crashes, tmp_path, kafka_session_timeout_ms=1_000)
    async with deployed(first) as found:
        found.create("o-1")
        seen = await found.events(2)
        await first.stop_consuming()
        assert await committed(found) == {}
        crashes.left = 0
        second = crashing(crashes, tmp_path, kafka_bootstrap_servers=found.service.bootstrap_servers)
        async with deployed(second) as again:
            repeated = await again.events(len(seen) + 1)
            await asyncio.wait_for(crashes.committed.wait(), 20)
            assert await state(again, "o-1") is not None

    assert len({dict(each.message.headers)["ce_id"] for each in repeated}) == 1
