"""Tell how far a long command is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text


class Steps:
    """Print a line for each finished step, with the time since the start; on a terminal a spinner for the one in hand.

    Args:
        console: Where to.
        began: When the program was started, as `time.monotonic` counts.
    """

    def __init__(self, console: Console, began: float) -> None:
        self.console = console
        self._began = began

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Be in one step; one that raises is not told as finished."""
        with self.console.status(Text(text)):
            yield
        self.console.print(Text.assemble((f"{self.seconds:5.1f} s  ", "dim"), text))
