"""Partitions that go: what is in hand ends in time or is cut off, and nothing more is begun of them."""

import asyncio

import pytest

from cqrs.messaging.delivery import Delivery, TryAgainException
from tests.unit.messaging.test_concurrency import P0, SECONDS, World, gate


@pytest.mark.asyncio
async def test_a_drain_that_finds_something_away_begins_nothing_more() -> None:
    world = World()
    a_opened, a_waits = gate()
    b_opened, b_waits = gate()
    c_opened, c_waits = gate()

    async def finds_the_database_away(delivery: Delivery) -> None:
        await a_waits(delivery)
        b_opened.set()
        c_opened.set()
        raise TryAgainException(0.0, ConnectionError(), waits_for="database")

    world.handler.scripts = {b"a1": finds_the_database_away, b"b1": b_waits, b"c1": c_waits}
    await world.send(("a", "a1"), ("c", "c1"), ("c", "c2"), ("b", "b1"))
    async with world.running():
        await world.handler.until(lambda: {b"a1", b"b1", b"c1"} <= set(world.handler.begun))
        revoking = asyncio.create_task(world.consumer.reassign(frozenset()))
        await asyncio.sleep(0)
        a_opened.set()
        await asyncio.wait_for(revoking, SECONDS)
    assert world.handler.begun.count(b"c2") == 0
    assert world.committed() == 0, "a1 is not done"


@pytest.mark.asyncio
async def test_work_that_outlives_the_drain_is_cancelled_before_the_partition_goes() -> None:
    world = World()
    world.subscriber._drain_seconds = 0.01
    cancelled = asyncio.Event()

    async def hang(_: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    world.handler.scripts[b"a1"] = hang
    await world.send(("a", "a1"), ("b", "b1"))
    async with world.running() as task:
        await world.handler.until(lambda: b"b1" in world.handler.done)
        await asyncio.wait_for(world.consumer.reassign(frozenset({P0})), SECONDS)
        assert cancelled.is_set()
        del world.handler.scripts[b"a1"]
        await world.handler.until(lambda: world.handler.done == [b"b1", b"a1"])
        assert not task.done()
    assert world.committed() == 2


@pytest.mark.asyncio
async def test_what_a_member_had_no_time_to_drain_is_not_begun_any_more() -> None:
    world = World(max_in_flight=1)
    world.subscriber._drain_seconds = 0.01

    async def hang(_: Delivery) -> None:
        await asyncio.Event().wait()

    world.handler.scripts = {b"b1": hang}
    await world.send(("a", "a1"), ("a", "a2"), ("b", "b1"))
    async with world.running():
        await world.handler.until(lambda: b"b1" in world.handler.begun)
        await asyncio.wait_for(world.consumer.reassign(frozenset()), SECONDS)
    assert world.handler.begun == [b"a1", b"b1"], "a2 lies below b1, and would have closed the gap"
    assert world.committed() == 1


@pytest.mark.asyncio
async def test_nobody_waits_for_what_is_away_once_the_records_that_did_are_left_to_others() -> None:
    world = World(max_in_flight=1)
    world.subscriber._drain_seconds = 0.01

    async def finds_the_database_away(_: Delivery) -> None:
        raise TryAgainException(0.0, ConnectionError(), waits_for="database")

    async def hang(_: Delivery) -> None:
        await asyncio.Event().wait()

    world.handler.scripts = {b"a1": finds_the_database_away, b"b1": hang}
    await world.send(("a", "a1"), ("b", "b1"))
    async with world.running():
        await world.handler.until(lambda: b"b1" in world.handler.begun)
        [partition] = world.progress.partitions
        await world.consumer.until_polled(3)
        assert partition.waiting == 0
        assert "database" in (world.subscriber.waiting_for or ""), "a1 stands behind b1, to be tried again"
        await asyncio.wait_for(world.consumer.reassign(frozenset()), SECONDS)
        assert world.subscriber.waiting_for is None


@pytest.mark.asyncio
async def test_work_on_partitions_that_are_others_by_now_ends_at_once() -> None:
    world = World()
    opened, wait = gate()
    cancelled = asyncio.Event()

    async def hang(_: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    world.handler.scripts = {b"a1": hang, b"b1": wait}
    await world.send(("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"))
    async with world.running() as task:
        await world.handler.until(lambda: {b"a1", b"b1", b"c1"} <= set(world.handler.begun))
        revoking = asyncio.create_task(world.consumer.reassign(frozenset({P0})))
        world.consumer.taken_away()
        opened.set()  # its end is something to commit, and the commit learns whose the partition is
        await asyncio.wait_for(cancelled.wait(), SECONDS)
        del world.handler.scripts[b"a1"]
        await asyncio.wait_for(revoking, SECONDS)
        await world.handler.until(lambda: {b"a1", b"a2"} <= set(world.handler.done))
        assert not task.done()
    assert world.handler.begun.count(b"a2") == 1, "it was not begun before its partition was this member's again"
    assert world.committed() == 4
