"""A worker outlives whatever a handling does, and carries nothing over from one record to the next."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest

from cqrs.messaging.delivery import Delivery, TryAgainException
from tests.unit.messaging.test_concurrency import SECONDS, World

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.asyncio
async def test_a_handling_that_cancels_itself_is_given_up_and_not_repeated_for_ever() -> None:
    world = World()
    refused: list[Exception | None] = []

    async def cancels_itself(delivery: Delivery) -> None:
        if delivery.refusal is None:
            raise asyncio.CancelledError
        refused.append(delivery.refusal)

    world.handler.scripts[b"a1"] = cancels_itself
    await world.send(("a", "a1"), ("a", "a2"))
    async with world.running():
        await world.handler.until(lambda: world.handler.done == [b"a1", b"a2"])
    assert world.handler.begun == [b"a1", b"a1", b"a2"], "the second time it is told to put the record aside"
    assert "cancelled itself" in str(refused[0])


@pytest.mark.parametrize("raised", [SystemExit(3), GeneratorExit(), KeyboardInterrupt(), BaseException("panic")])
@pytest.mark.asyncio
async def test_a_handling_that_would_end_the_process_is_given_up(raised: BaseException) -> None:
    world = World(max_in_flight=1)
    refused: list[Exception | None] = []

    async def ends_the_process(delivery: Delivery) -> None:
        if delivery.refusal is None:
            await asyncio.sleep(0)
            raise raised
        refused.append(delivery.refusal)

    world.handler.scripts[b"a1"] = ends_the_process
    await world.send(("a", "a1"), ("a", "a2"))
    async with world.running():
        await world.handler.until(lambda: world.handler.done == [b"a1", b"a2"])
    assert world.handler.begun == [b"a1", b"a1", b"a2"], "the second time it is told to put the record aside"
    assert type(raised).__name__ in str(refused[0])
    assert refused[0] is not None
    assert refused[0].__cause__ is raised


@pytest.mark.parametrize("waits", [False, True], ids=["asked for", "not heeded"])
@pytest.mark.asyncio
async def test_a_cancellation_that_a_handling_leaves_behind_does_not_hit_the_next_record(waits: bool) -> None:
    world = World(max_in_flight=1)
    counts: list[int] = []

    async def cancel(_: Delivery) -> None:
        this_task().cancel()
        if waits:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    async def wait(_: Delivery) -> None:
        counts.append(this_task().cancelling())
        await asyncio.sleep(0)

    world.handler.scripts = {b"a1": cancel, b"a2": wait}
    await world.send(("a", "a1"), ("a", "a2"))
    async with world.running():
        await world.handler.until(lambda: b"a2" in world.handler.done)
    assert world.handler.begun.count(b"a2") == 1, "it was not taken for one that cancels itself"
    assert counts == [0], "else a TaskGroup there would report a cancellation in place of its error"


def this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.mark.asyncio
async def test_one_records_context_is_not_the_next_ones() -> None:
    world = World(max_in_flight=1)
    seen: list[str] = []

    async def note_and_set(delivery: Delivery) -> None:
        seen.append(tenant.get())
        tenant.set(str(delivery.message.value))

    for value in (b"a1", b"b1", b"c1"):
        world.handler.scripts[value] = note_and_set
    await world.send(("a", "a1"), ("b", "b1"), ("c", "c1"))
    async with world.running():
        await world.handler.until(lambda: len(world.handler.done) == 3)
    assert seen == ["nobody"] * 3


@pytest.mark.asyncio
async def test_a_stop_while_joining_is_heard_at_once() -> None:
    world = World()
    joining = asyncio.Event()

    async def never(_: object) -> None:
        joining.set()
        await asyncio.Event().wait()

    world.consumer.start = never  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(world.subscriber.run())
    await asyncio.wait_for(joining.wait(), SECONDS)
    world.subscriber.stop()
    await asyncio.wait_for(task, 5)


@pytest.mark.asyncio
async def test_an_outage_does_not_use_up_the_time_of_retries() -> None:
    world = World()
    failed_at: list[float | None] = []
    errors = [
        TryAgainException(0.0, ValueError("x"), spent=True),
        TryAgainException(0.05, ConnectionError("x"), waits_for="database"),
    ]

    async def fail(delivery: Delivery) -> None:
        failed_at.append(delivery.failed_at)
        if errors:
            raise errors.pop(0)

    world.handler.scripts[b"a1"] = fail
    await world.send(("a", "a1"))
    async with world.running():
        await world.handler.until(lambda: world.handler.done == [b"a1"])
    first, second = failed_at[1:]
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(0.05)
