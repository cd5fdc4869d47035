"""Hear the signals by which an operator ends a process."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What Kubernetes and a terminal send."""


@contextmanager
def told_by_signals(told: asyncio.Event) -> Iterator[None]:
    """Set `told` when a stop signal comes inside the block; must be entered in the main thread's event loop."""
    loop = asyncio.get_running_loop()
    for each in STOP_SIGNALS:
        loop.add_signal_handler(each, told.set)
    try:
        yield
    finally:
        for each in STOP_SIGNALS:
            loop.remove_signal_handler(each)
