"""Synchronous handlers run in threads of their own, with the context of their caller."""

import asyncio
import contextvars
import threading

import pytest

from cqrs.threads import HandlerThreads, in_thread

who = contextvars.ContextVar("who", default="nobody")


def name() -> str:
    return threading.current_thread().name


@pytest.mark.asyncio
async def test_without_any_the_event_loops_own_are_used() -> None:
    assert await in_thread(name) != threading.current_thread().name


@pytest.mark.asyncio
async def test_so_many_run_at_once_and_see_the_context() -> None:
    threads, barrier = HandlerThreads(12), threading.Barrier(12)

    def meet(number: int) -> str:
        barrier.wait(10)  # broken unless all twelve are here at once
        return f"{who.get()} {number}"

    async def handle(number: int) -> object:
        threads.use()
        who.set("alice")
        return await in_thread(meet, number)

    tasks = [asyncio.create_task(handle(number), context=contextvars.Context()) for number in range(12)]
    assert await asyncio.gather(*tasks) == [f"alice {number}" for number in range(12)]
    threads.stop()
    assert who.get() == "nobody"


@pytest.mark.asyncio
async def test_other_contexts_do_not_use_them() -> None:
    threads = HandlerThreads(1)
    context = contextvars.copy_context()
    context.run(threads.use)
    inside = await asyncio.create_task(in_thread(name), context=context)
    outside = await in_thread(name)
    threads.stop()

    assert str(inside).startswith("handler")
    assert not str(outside).startswith("handler")


@pytest.mark.parametrize("raised", [StopIteration(), GeneratorExit()])
@pytest.mark.asyncio
async def test_a_function_that_raises_what_no_future_can_hold_fails_instead_of_hanging(raised: BaseException) -> None:
    def raises() -> None:
        raise raised

    with pytest.raises(RuntimeError, match=type(raised).__name__):
        await asyncio.wait_for(in_thread(raises), 10)
