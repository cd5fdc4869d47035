"""Threads for handlers that are plain functions, apart from those that the process needs for everything else."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from time import monotonic

THREAD_NAMES = "handler"
"""What the names of the threads begin with."""

SWITCH_SECONDS = 0.001
"""After how long a thread that computes lets others have the interpreter; Python's own time is five times as long."""

_threads: ContextVar[Executor | None] = ContextVar("cqrs_handler_threads", default=None)


class HandlerThreads:
    """Keep threads in which the synchronous handlers of one context run; they are started as they are needed.

    Without them such handlers share the event loop's own few threads (CPUs plus 4) with name lookups and file access.

    Args:
        count: How many run at once at most.
    """

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=THREAD_NAMES)

    def use(self) -> None:
        """Have the synchronous handlers that are called in this context run here."""
        _threads.set(self._executor)

    def stop(self) -> None:
        """Start no further handler; one that runs goes on to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def share_interpreter() -> Callable[[], None]:
    """Let a thread that computes give way sooner, and return what undoes it.

    An answer of the management port needs the interpreter some four times. While a handler computes, it waits for it
    each time as long as one turn takes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    return lambda: sys.setswitchinterval(before)


async def in_thread(function: Callable[..., object], *args: object) -> object:
    """Call `function` in a thread, in a copy of this context, and return its result."""
    return await ThreadCall(function, *args).start()


class ThreadCall:
    """Be a call that waits for a thread and then runs in it, in a copy of this context.

    Args:
        function: What is called.
        args: With what.

    Attributes:
        begun_at: When a thread began it, in the time of `time.monotonic()`; None before.
    """

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self._call = partial(copy_context().run, _called, function, *args)
        self._lock = threading.Lock()
        self._is_given_up = False
        self.begun_at: float | None = None

    def start(self) -> asyncio.Future[object]:
        """Let the next free thread begin it, and return its result to be."""
        return asyncio.get_running_loop().run_in_executor(_threads.get(), self._begin)

    def give_up(self) -> bool:
        """Have no thread begin it any more, and say whether none has."""
        with self._lock:
            self._is_given_up = self.begun_at is None
            return self._is_given_up

    def _begin(self) -> object:
        with self._lock:
            if self._is_given_up:
                return None
            self.begun_at = monotonic()
        return self._call()


def _called(function: Callable[..., object], *args: object) -> object:
    try:
        return function(*args)
    except (StopIteration, GeneratorExit) as error:
        # No future can hold the one: whoever awaits it would wait for ever. The other would close who awaits it.
        raise RuntimeError(f"{function!r} raised {type(error).__name__}") from error
