"""Threads for handlers that are plain functions, apart from those that the process needs for everything else."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial

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
    call = partial(copy_context().run, _called, function, *args)
    return await asyncio.get_running_loop().run_in_executor(_threads.get(), call)


def _called(function: Callable[..., object], *args: object) -> object:
    try:
        return function(*args)
    except (StopIteration, GeneratorExit) as error:
        # No future can hold the one: whoever awaits it would wait for ever. The other would close who awaits it.
        raise RuntimeError(f"{function!r} raised {type(error).__name__}") from error
