"""How long a handler may take."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from cqrs.exceptions import DependencyUnavailableException, HandlerTimeoutException
from cqrs.threads import ThreadCall


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Hold how long a handler may take.

    Attributes:
        handler: The handler's class name, for the error.
        seconds: The limit.
    """

    handler: str
    seconds: float

    def deadline(self) -> float:
        """Return when a handler that starts now must have ended, in the time of `time.monotonic()`."""
        return monotonic() + self.seconds

    def passed(self) -> HandlerTimeoutException:
        """Return the error of a handler that has not ended by its deadline."""
        return HandlerTimeoutException(self.handler, self.seconds)


async def finish_thread_by(deadline: float, call: ThreadCall, passed: Callable[[], Exception]) -> tuple[object, float]:
    """Return what a call in a thread returns, and the deadline of what comes behind it.

    Its time does not run while it waits for a thread: it has done nothing then. Past its time it goes on in its thread,
    for no thread can be cut off.

    Args:
        deadline: In the time of `time.monotonic()`, seconds, if a thread begins it now.
        call: What to run.
        passed: Makes the exception to raise when its time is over.

    Raises:
        DependencyUnavailableException: no thread began it; nothing was done.
        Exception: what `passed` makes, or what the call raised.
    """
    seconds = deadline - monotonic()
    future = call.start()
    try:
        while True:
            await asyncio.wait({future}, timeout=max(deadline - monotonic(), 0.0))
            if future.done():
                return future.result(), deadline
            if call.give_up() or call.begun_at is None:
                raise _no_thread(seconds)
            if call.begun_at + seconds <= monotonic():
                raise passed()
            deadline = call.begun_at + seconds
    finally:
        call.give_up()
        future.cancel()


def _no_thread(seconds: float) -> DependencyUnavailableException:
    return DependencyUnavailableException(
        "a thread for handlers",
        f"none was free for {seconds:.1f} s; write handlers with async, or raise SYNC_HANDLER_THREADS",
    )
