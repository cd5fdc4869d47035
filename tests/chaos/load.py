"""Commands sent at a steady pace, in a thread beside whatever goes on."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.chaos.orders.deployment import Deployment
from tests.chaos.orders.model import Command

_STEP_SECONDS = 0.2


class Load:
    """Send commands one after the other for the length of the block; what the sending raises, the end of it raises.

    Args:
        deployment: Where to.
        commands: What; when all are sent, nothing more is.
        per_second: How many.
    """

    def __init__(self, deployment: Deployment, commands: Sequence[Command], per_second: float) -> None:
        self._deployment = deployment
        self._commands = commands
        self._per_second = per_second
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name="load", daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _send(self) -> None:
        begun = time.monotonic()
        sent = 0
        try:
            while sent < len(self._commands) and not self._stop.wait(_STEP_SECONDS):
                due = min(int((time.monotonic() - begun) * self._per_second), len(self._commands))
                self._deployment.send(self._commands[sent:due])
                sent = due
        except Exception as failure:
            self._failure = failure
