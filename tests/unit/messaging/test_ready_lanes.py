"""Lanes are handed out in order, each to one worker, and none is forgotten when a worker is cancelled."""

import asyncio

import pytest

from cqrs.messaging.lanes import AssignedPartition, Lane
from cqrs.messaging.message import TopicPartition
from cqrs.messaging.ready_lanes import ReadyLanes
from cqrs.messaging.watermark import Watermark

PARTITION = AssignedPartition(TopicPartition("orders", 0), 1, Watermark())


def lane(name: bytes) -> Lane:
    return Lane(PARTITION, name)


async def waiting(ready: ReadyLanes) -> asyncio.Task[Lane]:
    task = asyncio.create_task(ready.get())
    await asyncio.sleep(0)
    return task


@pytest.mark.asyncio
async def test_lanes_come_in_the_order_in_which_they_became_ready() -> None:
    ready, lanes = ReadyLanes(), [lane(b"a"), lane(b"b")]
    for each in lanes:
        ready.put(each)
    assert [await ready.get(), await ready.get()] == lanes


@pytest.mark.asyncio
async def test_each_lane_wakes_one_worker_the_one_that_has_waited_longest() -> None:
    ready, first, second = ReadyLanes(), lane(b"a"), lane(b"b")
    workers = [await waiting(ready) for _ in range(3)]
    ready.put(first)
    ready.put(second)
    done, still = await asyncio.wait(workers, timeout=0.05)
    assert {task.result() for task in done} == {first, second}
    assert still == {workers[2]}
    still.pop().cancel()


@pytest.mark.asyncio
async def test_a_worker_that_was_overtaken_waits_again() -> None:
    ready, first, second = ReadyLanes(), lane(b"a"), lane(b"b")
    worker = await waiting(ready)
    ready.put(first)
    assert ready.lanes.popleft() is first
    await asyncio.sleep(0)
    ready.put(second)
    assert await worker is second


@pytest.mark.asyncio
async def test_a_worker_that_is_cancelled_takes_no_lane_with_it() -> None:
    ready, only = ReadyLanes(), lane(b"a")
    cancelled, other = await waiting(ready), await waiting(ready)
    ready.put(only)
    cancelled.cancel()  # woken, and cancelled before it ran
    assert await other is only
    with pytest.raises(asyncio.CancelledError):
        await cancelled


@pytest.mark.asyncio
async def test_a_worker_that_is_cancelled_and_woken_in_one_turn_ends_as_cancelled() -> None:
    ready, only = ReadyLanes(), lane(b"a")
    cancelled = await waiting(ready)
    cancelled.cancel()
    ready.put(only)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await ready.get() is only


@pytest.mark.asyncio
async def test_a_worker_that_is_cancelled_while_it_waits_is_not_woken_any_more() -> None:
    ready, only = ReadyLanes(), lane(b"a")
    cancelled, other = await waiting(ready), await waiting(ready)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    ready.put(only)
    assert await other is only
