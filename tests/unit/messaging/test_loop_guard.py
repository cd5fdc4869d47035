"""A handler that blocks the event loop is named while it does, with its record and its line."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType

import pytest

from cqrs.messaging.delivery import Delivery
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.loop_guard import LoopGuard, place_of
from cqrs.messaging.message import Message

MESSAGE = Message("c", 2, 7, b"k", b"v", (("ce_type", b"orders.AddItem"),))
THRESHOLD = 0.05


def delivery(_: asyncio.Task[None]) -> Delivery:
    return Delivery(MESSAGE, read_envelope(MESSAGE))


class Blocked:
    """Remember what was told, and block until the guard's thread has spoken."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.turned = asyncio.Event()

    def __call__(self, command_type: str, seconds: float) -> None:
        self.told.append((command_type, seconds))
        self.turned.set()


@contextmanager
def spoken(caplog: pytest.LogCaptureFixture) -> Iterator[threading.Event]:
    """Set an event when the guard logs, whichever thread it does that in."""
    event = threading.Event()

    class Signal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event.set()

    handler = Signal()
    logger = logging.getLogger("cqrs.messaging.loop_guard")
    logger.addHandler(handler)
    with caplog.at_level(logging.WARNING, "cqrs.messaging.loop_guard"):
        yield event
    logger.removeHandler(handler)


@pytest.mark.asyncio
async def test_a_blocking_handler_is_named_with_its_record_its_line_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    blocked = Blocked()
    guard = LoopGuard(delivery, threshold_seconds=THRESHOLD, on_blocked=blocked)
    with spoken(caplog) as event:
        guard.start()
        guard.start()
        assert event.wait(10), "this blocks the loop, on purpose, until the guard has seen it"
        await asyncio.wait_for(blocked.turned.wait(), 10)
        guard.stop()
        guard.stop()

    first, second = caplog.messages
    assert "the handler of orders.AddItem (c[2]@7) blocks it at" in first
    assert f"{__file__}:" in first
    assert "test_a_blocking_handler_is_named" in first
    assert "do_handle without async" in first
    assert "turns again after" in second
    [(command_type, seconds)] = blocked.told
    assert command_type == "orders.AddItem"
    assert seconds > THRESHOLD


@pytest.mark.asyncio
async def test_what_is_no_handlers_is_told_by_its_task(caplog: pytest.LogCaptureFixture) -> None:
    blocked = Blocked()
    guard = LoopGuard(lambda _: None, threshold_seconds=THRESHOLD, on_blocked=blocked)
    with spoken(caplog) as event:
        guard.start()
        assert event.wait(10)
        await asyncio.wait_for(blocked.turned.wait(), 10)
        guard.stop()

    assert "the task 'Task-" in caplog.messages[0]
    assert blocked.told[0][0] == "other"


@pytest.mark.asyncio
async def test_a_loop_that_turns_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    blocked = Blocked()
    guard = LoopGuard(delivery, threshold_seconds=0.5, on_blocked=blocked)
    with spoken(caplog) as event:
        guard.start()
        for _ in range(20):
            await asyncio.sleep(0.01)
        guard.stop()

    assert not event.is_set()
    assert blocked.told == []


@pytest.mark.asyncio
async def test_a_process_that_stood_still_as_a_whole_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    """The clock jumps for the loop and for the thread alike, as after SIGSTOP and SIGCONT."""
    jumped = [0.0]
    guard = LoopGuard(delivery, threshold_seconds=0.2, clock=lambda: time.monotonic() + jumped[0])
    with spoken(caplog) as event:
        guard.start()
        for _ in range(5):
            await asyncio.sleep(0.03)
            jumped[0] += 3600.0
        await asyncio.sleep(0.3)
        guard.stop()

    assert not event.is_set()


@pytest.mark.asyncio
async def test_it_leaves_no_thread_and_no_timer_behind() -> None:
    before = threading.active_count()
    guard = LoopGuard(delivery, threshold_seconds=THRESHOLD)
    guard.start()
    assert threading.active_count() == before + 1
    guard.stop()
    assert threading.active_count() == before
    guard.start()
    guard.stop()
    assert threading.active_count() == before


def test_what_started_the_loop_is_not_blamed_for_what_a_library_does_in_it() -> None:
    frames: list[FrameType] = []
    done: Future[None] = Future()
    done.add_done_callback(lambda _: frames.append(sys._getframe(1)))

    async def run() -> None:
        asyncio.get_running_loop().call_soon(done.set_result, None)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert "_invoke_callbacks" in place_of(frames[0])
