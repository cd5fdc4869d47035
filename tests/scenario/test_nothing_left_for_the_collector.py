"""Whatever becomes of a record, what handled it goes with it: nothing waits for the garbage to be collected.

An error that is kept in a frame of its own traceback holds everything that these frames had in hand: the command, its
record, the context. A service that refuses many commands would carry megabytes of them from collection to collection.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from cqrs.delivery import DeadLetter, Retry, Skip
from cqrs.exceptions import CqrsException
from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import Deployed, deployed, settings_in

OURS = ("/cqrs/", "/service/")


class _RefusedException(CqrsException):
    """Be what a handler refuses a command with."""


@contextmanager
def garbage() -> Iterator[list[object]]:
    """Collect what the block leaves in cycles, instead of freeing it."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours(found: list[object]) -> list[str]:
    """Name what is left of ours: frames of our code, and objects of our classes."""
    codes = [each.f_code for each in found if isinstance(each, FrameType)]
    frames = [f"{code.co_filename}: {code.co_qualname}" for code in codes if any(at in code.co_filename for at in OURS)]
    kinds = {type(each) for each in found}
    return frames + sorted(repr(kind) for kind in kinds if kind.__module__.partition(".")[0] in ("cqrs", "service"))


ENDS: dict[str, Callable[[], Exception]] = {
    "refused": lambda: _RefusedException("no"),
    "broken": lambda: ValueError("a defect"),
    "put aside": lambda: DeadLetter("by hand"),
    "skipped": lambda: Skip("of no use"),
    "tried again": lambda: Retry(0.0),
    "timed out": TimeoutError,
}


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Have nobody log: what captures log records for pytest would hold their errors."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def failing_once(what: str, error: Callable[[], Exception]) -> scripted.Script:
    async def fail() -> None:
        if scripted.stage.begun.count(what) == 1:
            raise error()

    return fail


async def play(running: Deployed, number: int) -> None:
    """Have a command of every end settled, and one that goes well behind them."""
    for end, error in ENDS.items():
        what = f"{end} {number}"
        scripted.stage.scripts[what] = failing_once(what, error)
        await scripted.do(running, what, key="one after the other")
    await scripted.do(running, f"well {number}", key="one after the other")
    await scripted.stage.until(lambda: f"well {number}" in scripted.stage.done)
    await running.events(3 * number)  # those of the two that were tried again, and of the last one


@pytest.mark.asyncio
async def test_whatever_a_handler_ends_with_goes_with_its_frames(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as running:
        await play(running, 1)
        with garbage() as left:
            await play(running, 2)

    assert ours(left) == []


@pytest.mark.asyncio
async def test_a_command_with_a_database_goes_with_its_work_and_a_refused_one_with_its_frames(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, topics={COMMANDS: 1, EVENTS: 1})

    async def send(running: Deployed, number: int) -> None:
        await running.produce(b"{", (("ce_type", b"orders.CreateOrder"),), key=b"o")
        running.create(f"invalid-{number}", items=[])
        running.create("once")
        running.create(f"well-{number}")
        await running.letters(3 * number - 1)
        await running.events(number + 1)

    async with deployed(order_service(settings)) as running:
        await send(running, 1)
        with garbage() as left:
            await send(running, 2)

    assert ours(left) == []
