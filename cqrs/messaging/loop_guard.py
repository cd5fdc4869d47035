"""See and name what keeps the event loop from turning: a handler that blocks it blocks every other record too."""

import asyncio
import logging
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from cqrs.messaging.delivery import Delivery

logger = logging.getLogger(__name__)

UNKNOWN = "other"
"""The command type of a block that is no handler's, or whose record declares none."""

_OWN = str(Path(__file__).parents[1])
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_TURN = asyncio.Handle._run.__code__  # noqa: SLF001 - everything that a loop runs is run by it
_JOIN_SECONDS = 2.0


class LoopGuard:
    """Watch an event loop from a thread, and tell while it stands still who holds it up.

    The loop marks its turns by a timer, twice a threshold. When a mark is late by more than the threshold, the thread
    looks at what the loop is running. A thread that is itself late says that the whole process stood still, which is
    nobody's fault here.

    Args:
        in_hand: Returns the delivery that a task works on, or None; called from the thread.
        threshold_seconds: How long the loop may stand still without a word.
        on_blocked: Told the command type, and how long the loop stood still, when it turns again.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        in_hand: Callable[[asyncio.Task[None]], Delivery | None],
        *,
        threshold_seconds: float = 0.5,
        on_blocked: Callable[[str, float], None] = lambda _type, _seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_hand = in_hand
        self._threshold = threshold_seconds
        self._on_blocked = on_blocked
        self._clock = clock
        self._marked = 0.0
        self._blocker: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    @property
    def silence_seconds(self) -> float:
        """Return how long ago the loop turned last; 0 while it is not watched. From any thread."""
        return self._clock() - self._marked if self._thread is not None else 0.0

    def start(self) -> None:
        """Begin to watch the running loop; harmless when it does."""
        if self._thread is not None:
            return
        loop = asyncio.get_running_loop()
        self._ended.clear()
        self._marked = self._clock()
        self._mark(loop)
        self._thread = threading.Thread(
            target=self._watch, args=(loop, threading.get_ident()), name="loop guard", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End watching; harmless when called again."""
        thread, self._thread = self._thread, None
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        if thread is not None:
            thread.join(_JOIN_SECONDS)

    def _mark(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note, in the loop, that it turned."""
        now = self._clock()
        blocker, self._blocker = self._blocker, None
        if blocker is not None:
            seconds = now - self._marked
            logger.warning("the event loop turns again after %.1f s: %s", seconds, blocker)
            self._on_blocked(blocker, seconds)
        self._marked = now
        self._timer = loop.call_later(self._threshold / 2, self._mark, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        step = self._threshold / 4
        awake_since = self._clock()
        while True:
            begun = self._clock()
            if self._ended.wait(step):
                return
            now = self._clock()
            if now - begun > step + self._threshold / 2:
                awake_since = now  # this thread stood still too: the loop had no chance to turn
            marked = self._marked
            late = now - max(marked, awake_since) - self._threshold / 2
            if late > self._threshold and self._blocker is None:
                self._tell(loop, thread_id, late)
                if self._marked != marked:
                    self._blocker = None  # it turned meanwhile

    def _tell(self, loop: asyncio.AbstractEventLoop, thread_id: int, late: float) -> None:
        task = asyncio.current_task(loop)
        delivery = None if task is None else self._in_hand(task)
        frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - the way to see another thread's stack
        self._blocker = UNKNOWN if delivery is None else delivery.envelope.type or UNKNOWN
        what = "something" if task is None else f"the task {task.get_name()!r}"
        if delivery is not None:
            name = delivery.envelope.type
            what = f"the handler of {name or 'a command whose headers name no type'} ({delivery.message.place})"
        logger.warning(
            "the event loop has not turned for %.1f s: %s blocks it at %s, and with it every other record; "
            "await instead, or write do_handle without async: then it runs in a thread",
            late,
            what,
            "an unknown place" if frame is None else place_of(frame),
        )


def place_of(frame: FrameType) -> str:
    """Return where the code that blocks stands: the innermost frame that is neither a library's nor this package's.

    What stands below the event loop only started it: when nothing above it is, the innermost frame of all is returned.
    """
    innermost = frame
    found: FrameType | None = frame
    while found is not None and found.f_code is not _TURN:
        path = found.f_code.co_filename
        if not path.startswith((_OWN, "<", *_LIBRARIES)):
            return _shown(found)
        found = found.f_back
    return _shown(innermost)


def _shown(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
