"""Cut off what takes too long, without a timer for what does not wait."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

LATE_SECONDS = 0.1
"""A timer that comes later than this says that the process stood still, and not that the work takes long."""


async def finish_by(deadline: float, coroutine: Coroutine[object, object, T], passed: Callable[[], Exception]) -> T:
    """Return what `coroutine` returns, if it does so by `deadline`; it runs in this very task.

    A timer is set only when the coroutine first waits for something: setting one costs more than most hooks and
    handlers do.

    Args:
        deadline: In the time of `time.monotonic()`, seconds.
        coroutine: What to run; once the deadline has passed it is cancelled, and has ended when this raises.
        passed: Makes the exception to raise then.

    Raises:
        Exception: what `passed` makes, or what the coroutine raised.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    limit = asyncio.timeout(None)
    # By way of what is left: a loop may have a clock of its own, which takes three calls to read.
    timer = _Timer(limit, deadline - monotonic())
    try:
        async with limit:
            return await _Resumed(coroutine, awaited)
    except TimeoutError as error:
        if limit.expired():
            raise passed() from error
        raise
    finally:
        timer.cancel()


class _Timer:
    """Let a limit expire in its time; once later, when the timer itself comes late.

    Whatever held the event loop or the process, held the work too: its answer may be there, unread.
    """

    __slots__ = ("_due", "_handle", "_is_extended", "_limit", "_loop", "_seconds")

    def __init__(self, limit: asyncio.Timeout, seconds: float) -> None:
        self._limit = limit
        self._seconds = max(seconds, 0.0)
        self._is_extended = False
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + self._seconds
        self._handle = self._loop.call_at(self._due, self._expire)

    def cancel(self) -> None:
        self._handle.cancel()

    def _expire(self) -> None:
        now = self._loop.time()
        late = now - self._due
        if late <= LATE_SECONDS or self._is_extended:
            self._limit.reschedule(now)
            return
        self._is_extended = True
        self._due = now + min(late, self._seconds)
        self._handle = self._loop.call_at(self._due, self._expire)


class _Resumed(Awaitable[T]):
    """Go on with a coroutine whose first step has been taken and has handed out something to wait for."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[object, object, T], awaited: object) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[object, object, T]:
        awaited, coroutine = self._awaited, self._coroutine
        while True:
            sent: object = None
            thrown: BaseException | None = None
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's, and is handed to it
                thrown = error
            try:
                awaited = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
            except StopIteration as done:
                result: T = done.value
                return result
