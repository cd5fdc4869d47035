"""A stop signal inside the block is heard, and does what it always did behind it."""

import asyncio
import os
import signal

import pytest

from cqrs.signals import STOP_SIGNALS, told_by_signals


@pytest.mark.parametrize("each", STOP_SIGNALS)
@pytest.mark.asyncio
async def test_a_signal_sets_the_event(each: signal.Signals) -> None:
    told = asyncio.Event()
    with told_by_signals(told):
        os.kill(os.getpid(), each)
        await asyncio.wait_for(told.wait(), 5)


@pytest.mark.asyncio
async def test_behind_the_block_the_signal_is_the_processs_own_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with told_by_signals(asyncio.Event()):
        pass

    assert signal.getsignal(signal.SIGTERM) == before
