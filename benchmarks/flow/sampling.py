"""Look at the stack of the main thread once every millisecond of CPU, while a clock runs.

A sampler sees what the code costs without changing it much, where a tracing profiler makes short functions look dear.
What other threads use counts for what the main thread does next.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from types import CodeType, FrameType

from benchmarks.flow.job import Clock

INTERVAL_SECONDS = 0.001

Stack = tuple[str, ...]
"""`path:function` of each frame, the outermost first."""


class Sampler:
    """Count stacks.

    Args:
        clock: Samples are taken while it runs.

    Attributes:
        stacks: How often each stack was seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[CodeType, str] = {}
        self.stacks: Counter[Stack] = Counter()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Sample inside the block; only the main thread can, and only one sampler at a time."""
        before = signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.signal(signal.SIGPROF, before)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        if not self._clock.is_running:
            return
        stack: list[str] = []
        while frame is not None:
            stack.append(self._name(frame.f_code))
            frame = frame.f_back
        self.stacks[tuple(reversed(stack))] += 1

    def _name(self, code: CodeType) -> str:
        name = self._names.get(code)
        if name is None:
            name = self._names[code] = f"{short_path(code.co_filename)}:{code.co_qualname}"
        return name


def short_path(path: str) -> str:
    """Return a source's path from its package on, for example `cqrs/kafka/consumer.py` or `asyncio/events.py`."""
    parts = PurePath(path).parts
    for root in ("site-packages", "cqrs", "service", "benchmarks"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at + (root == "site-packages") :])
    return "/".join(parts[-2:])
