"""Commands sent at a steady pace, in a thread beside whatever goes on."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.chaos.orders.deployment import Deployment
from tests.chaos.orders.model import Command

AHEAD = 2_000
_STEP_SECONDS = 0.2


class Load:
    """Send commands one after the other for the length of the block; what the sending raises, the end of it raises.

    Args:
        deployment: Where to.
        commands: What; when all are sent, nothing more is.
        per_second: How many.
        ahead: How many of them may be without an outcome; the sending waits for the rest.
    """

    def __init__(
        self, deployment: Deployment, commands: Sequence[Command], per_second: float, ahead: int = AHEAD
    ) -> None:
        self._deployment = deployment
        self._commands = commands
        self._per_second = per_second
        self._ahead = ahead
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
        if self._failure is None:
            return
        if error is None:
            raise self._failure
        error.add_note(f"The sending had ended before, with {self._failure!r}.")

    def _send(self) -> None:
        begun = time.monotonic()
        sent = 0
        try:
            while sent < len(self._commands) and not self._stop.wait(_STEP_SECONDS):
                self._deployment.outcomes.read()
                room = self._ahead - len(self._deployment.sent) + self._deployment.outcomes.settled
                due = min(int((time.monotonic() - begun) * self._per_second), len(self._commands), sent + room)
                if due > sent:
                    self._deployment.send(self._commands[sent:due])
                    sent = due
        except Exception as failure:
            self._failure = failure
