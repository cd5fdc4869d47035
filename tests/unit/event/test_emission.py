"""emit() reaches the command that is being handled, and nobody else."""

import asyncio

import pytest

from cqrs.event.emission import EmittedEvents, current_collection, emit


def test_events_are_collected_in_order_and_the_collection_is_left_with_the_block() -> None:
    with (collected := EmittedEvents()):
        assert current_collection() is collected
        emit("a")
        emit("b")
    assert collected.events == ["a", "b"]
    assert collected.closed
    assert current_collection() is None


def test_collections_nest() -> None:
    with (outer := EmittedEvents()):
        with (inner := EmittedEvents()):
            emit("inner")
        emit("outer")
    assert (outer.events, inner.events) == (["outer"], ["inner"])


def test_outside_a_command_there_is_nobody_to_publish() -> None:
    with pytest.raises(RuntimeError, match=r"emit\(str\) works inside a command handler"):
        emit("event")


@pytest.mark.asyncio
async def test_tasks_and_threads_of_the_handler_emit_for_it() -> None:
    async def child() -> None:
        emit("from a task")

    with (collected := EmittedEvents()):
        await asyncio.create_task(child())
        await asyncio.to_thread(emit, "from a thread")
    assert collected.events == ["from a task", "from a thread"]


@pytest.mark.asyncio
async def test_a_task_that_emits_after_its_command_had_ended_is_told_so() -> None:
    ended = asyncio.Event()

    async def child() -> None:
        await ended.wait()
        emit("late")

    with EmittedEvents() as _:
        task = asyncio.create_task(child())
    ended.set()
    with pytest.raises(RuntimeError, match=r"emit\(str\) came after its command had ended"):
        await task
