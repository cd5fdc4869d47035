"""What takes too long is cut off; what does not wait pays for no timer."""

import asyncio
import threading
import time
from collections.abc import Coroutine

import pytest

from cqrs.command.limit import TimeLimit, finish_thread_by
from cqrs.exceptions import DependencyUnavailableException, HandlerTimeoutException
from cqrs.limit import LATE_SECONDS, finish_by
from cqrs.threads import HandlerThreads, ThreadCall

LIMIT = TimeLimit("CreateOrderHandler", 0.01)
LONG = TimeLimit("CreateOrderHandler", 60.0)


async def keep(limit: TimeLimit, work: Coroutine[object, object, object]) -> object:
    return await finish_by(limit.deadline(), work, limit.passed)


@pytest.mark.asyncio
async def test_what_does_not_wait_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once() -> int:
        return 1

    monkeypatch.setattr(asyncio, "timeout", None)
    assert await keep(LONG, at_once()) == 1


@pytest.mark.asyncio
async def test_what_fails_at_once_fails_as_it_is() -> None:
    async def at_once() -> int:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await keep(LONG, at_once())


@pytest.mark.asyncio
async def test_what_waits_several_times_returns_and_raises_as_without_a_limit() -> None:
    async def steps(fail: bool) -> int:
        for _ in range(3):
            await asyncio.sleep(0)
        if fail:
            raise KeyError("own")
        return 3

    assert await keep(LONG, steps(False)) == 3
    with pytest.raises(KeyError, match="own"):
        await keep(LONG, steps(True))


@pytest.mark.asyncio
async def test_results_of_futures_reach_the_work() -> None:
    ready = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        return str(await ready)

    task = asyncio.create_task(keep(LONG, waits()))
    asyncio.get_running_loop().call_soon(ready.set_result, "value")
    assert await task == "value"


@pytest.mark.asyncio
async def test_errors_of_futures_can_be_caught_by_the_work() -> None:
    ready = asyncio.get_running_loop().create_future()

    async def catches() -> str:
        try:
            await ready
        except ValueError:
            await asyncio.sleep(0)
        return "caught"

    task = asyncio.create_task(keep(LONG, catches()))
    asyncio.get_running_loop().call_soon(ready.set_exception, ValueError())
    assert await task == "caught"


@pytest.mark.asyncio
async def test_the_deadline_cancels_the_work_and_names_the_handler() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    with pytest.raises(HandlerTimeoutException) as raised:
        await keep(LIMIT, hangs())
    assert (raised.value.handler, raised.value.seconds) == ("CreateOrderHandler", 0.01)
    assert ended == ["cleaned up"]


@pytest.mark.asyncio
async def test_a_timeout_of_the_works_own_stays_what_it_is() -> None:
    async def times_out() -> None:
        await asyncio.sleep(0)
        raise TimeoutError("the database's")

    with pytest.raises(TimeoutError, match="the database's"):
        await keep(LONG, times_out())


@pytest.mark.asyncio
async def test_cancellation_from_outside_reaches_the_work_and_the_caller() -> None:
    started = asyncio.Event()
    seen: list[str] = []

    async def waits() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(keep(LONG, waits()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


@pytest.mark.asyncio
async def test_cancellation_reaches_work_that_only_yields() -> None:
    async def yields() -> str:
        for _ in range(9):
            await asyncio.sleep(0)  # hands out nothing that could be cancelled in its place
        return "never cancelled"

    task = asyncio.create_task(keep(LONG, yields()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_the_work_runs_in_the_callers_own_task() -> None:
    async def names() -> object:
        await asyncio.sleep(0)
        return asyncio.current_task()

    assert await keep(LONG, names()) is asyncio.current_task()


@pytest.mark.asyncio
async def test_limits_nest_and_the_inner_one_can_be_outlived() -> None:
    async def inner() -> str:
        try:
            await keep(LIMIT, asyncio.Event().wait())
        except HandlerTimeoutException:
            return "went on"
        return "never"

    assert await keep(LONG, inner()) == "went on"


@pytest.mark.asyncio
async def test_work_whose_answer_came_while_the_process_stood_still_is_not_cut_off() -> None:
    limit = TimeLimit("CreateOrderHandler", 1.0)

    async def answered() -> str:
        await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)  # it needs the event loop once more
        return "done"

    several = [asyncio.create_task(keep(limit, answered())) for _ in range(20)]
    await asyncio.sleep(0)
    time.sleep(2.0)  # noqa: ASYNC251 - another handler, or a frozen container

    assert await asyncio.gather(*several) == ["done"] * 20


@pytest.mark.asyncio
async def test_work_that_hangs_is_cut_off_once_the_process_goes_on() -> None:
    hanging = asyncio.create_task(keep(LIMIT, asyncio.Event().wait()))
    await asyncio.sleep(0)
    time.sleep(2 * LATE_SECONDS)  # noqa: ASYNC251 - it stands still

    with pytest.raises(HandlerTimeoutException):
        await asyncio.wait_for(hanging, 10)


def in_time(limit: TimeLimit, call: ThreadCall) -> Coroutine[object, object, tuple[object, float]]:
    return finish_thread_by(limit.deadline(), call, limit.passed)


@pytest.mark.asyncio
async def test_the_time_of_a_call_begins_when_a_thread_begins_it() -> None:
    threads = HandlerThreads(1)
    threads.use()
    first, limit = threading.Event(), TimeLimit("CreateOrderHandler", 2.0)
    held = asyncio.create_task(in_time(LONG, ThreadCall(first.wait, 10.0)))
    waiting = asyncio.create_task(in_time(limit, ThreadCall(time.sleep, 1.0)))
    asyncio.get_running_loop().call_later(1.5, first.set)

    result, deadline = await waiting
    assert result is None
    assert deadline > time.monotonic()
    assert (await held)[0] is True
    threads.stop()


@pytest.mark.asyncio
async def test_a_call_that_no_thread_begins_did_nothing_and_may_come_again() -> None:
    threads = HandlerThreads(1)
    threads.use()
    go_on, done = threading.Event(), list[str]()
    held = asyncio.create_task(in_time(LONG, ThreadCall(go_on.wait, 10.0)))
    await asyncio.sleep(0)

    with pytest.raises(DependencyUnavailableException, match="SYNC_HANDLER_THREADS"):
        await in_time(LIMIT, ThreadCall(done.append, "begun"))
    go_on.set()
    await held
    assert (await in_time(LONG, ThreadCall(len, done)))[0] == 0
    threads.stop()


@pytest.mark.asyncio
async def test_a_call_past_its_time_ends_for_its_caller() -> None:
    threads = HandlerThreads(1)
    threads.use()
    begun, go_on = threading.Event(), threading.Event()

    def hangs() -> None:
        begun.set()
        go_on.wait(10)

    with pytest.raises(HandlerTimeoutException):
        await in_time(TimeLimit("CreateOrderHandler", 0.2), ThreadCall(hangs))
    assert begun.is_set()
    go_on.set()
    threads.stop()
