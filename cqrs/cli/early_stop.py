"""Heed a stop signal from the first moment on; this imports next to nothing, so that the first moment comes early."""

import os
import signal
from collections.abc import Sequence
from types import FrameType


def end_at_signals(arguments: Sequence[str]) -> None:
    """Let SIGTERM and SIGINT end the program with exit code 0 while it still loads, when its command is `run`.

    Unheeded they would end it with 143, or, as the first process of a container, not at all: the kernel gives that
    one no default action. `run` puts its own handlers in place of these as soon as it runs.

    Args:
        arguments: The command line, without the program's name.
    """
    if "run" in arguments[:1]:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Not SystemExit: raised in the middle of an import it can be swallowed. There is nothing to close yet.
    os._exit(0)
