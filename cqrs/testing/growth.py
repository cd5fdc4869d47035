"""Whether a process grows: samples of what it holds, and a slope and a jump that a few odd ones do not move.

A soak test takes a sample every few seconds, and looks at the end whether everything is flat::

    samples.append(sample(process.pid, time.monotonic()))
    ...
    assert all(each.is_flat for each in growths(samples))
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

WARM_UP = 0.25
"""The part of the samples, from the first on, in which caches fill and pools open."""

_MOST_POINTS = 200
_LASTING = 8
_FEWEST_POINTS = 5
_ODD = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what a process has at one moment.

    Attributes:
        seconds: When, on any clock that only grows.
        memory: Resident memory in MiB.
        threads: Its threads.
        sockets: Its open sockets.
        files: Its other open files, pipes and event queues.
        tasks: Its asyncio tasks.
    """

    seconds: float
    memory: float
    threads: int
    sockets: int
    files: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Say how one thing developed after the warm-up.

    Attributes:
        name: Of the thing.
        level: Its median.
        growth: By how much it grew from the first sample to the last one, as the slope says, or by a jump that lasts,
            if that is more.
        allowed: By how much it may.
    """

    name: str
    level: float
    growth: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Say whether it grew by no more than it may."""
        return self.growth <= self.allowed

    def __str__(self) -> str:
        """Return the level and the growth."""
        return f"{self.level:.0f} {self.growth:+.1f}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs of points: up to 29 % of them may be anything.

    Source: Theil, 1950; Sen, 1968.
    """
    step = max(len(points) // _MOST_POINTS, 1)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points[::step], 2) if b[0] > a[0]]
    return median(slopes) if slopes else 0.0


def jump(values: Sequence[float]) -> float:
    """Return by how much the values lie higher from some moment on, up to the end; 0 when they do at no moment.

    On either side of the moment there is an eighth of the values at least, and a tenth of those of a side may be
    anything. Floor and ceiling must rise both, and the lesser rise counts: a pool that is full for a while has its
    ceiling reached, and no more than before.
    """
    fewest = max(len(values) // _LASTING, _FEWEST_POINTS)
    moments = range(fewest, len(values) - fewest + 1)
    return max((_rise(values[:moment], values[moment:]) for moment in moments), default=0.0)


def _rise(before: Sequence[float], after: Sequence[float]) -> float:
    floors, ceilings = zip(_range(before), _range(after), strict=True)
    return max(min(floors[1] - floors[0], ceilings[1] - ceilings[0]), 0.0)


def _range(values: Sequence[float]) -> tuple[float, float]:
    odd, ordered = len(values) // _ODD, sorted(values)
    return ordered[odd], ordered[-1 - odd]


def growths(samples: Sequence[Sample]) -> Sequence[Growth]:
    """Judge each thing that was sampled, one sample at least: memory may grow by 5 %, numbers by 10 %.

    Pools fill and empty with faults, so that a number never stands still; what one fault in five leaves behind is more.
    """
    warm = samples[int(len(samples) * WARM_UP) :]
    found = []
    for name in ("memory", "threads", "sockets", "files", "tasks"):
        points = [(each.seconds, float(getattr(each, name))) for each in warm]
        level = median(value for _, value in points)
        climbed = slope(points) * (points[-1][0] - points[0][0])
        jumped = jump([value for _, value in points])
        grown = max(climbed, jumped) if jumped else climbed  # what shrinks is told as it is
        found.append(Growth(name, level, grown, level * (0.05 if name == "memory" else 0.1)))
    return found


def sample(pid: int, seconds: float, tasks: int = 0) -> Sample:
    """Look at a process from outside; needs the /proc of Linux.

    Args:
        pid: Its number.
        seconds: When.
        tasks: How many asyncio tasks it has, which only the process itself knows.

    Raises:
        OSError: there is no such process, or it has ended.
    """
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines() if ":" in line
    )
    if "VmRSS" not in status:  # a zombie has a status, and no memory
        raise ProcessLookupError(
            f"process {pid} has ended, and its parent has not waited for it; take samples only while it runs"
        )
    targets = [_target(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = sum(each.startswith("socket:") for each in targets)
    memory = int(status["VmRSS"].split()[0]) / 1024
    return Sample(seconds, memory, int(status["Threads"]), sockets, len(targets) - sockets, tasks)


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - a Path would make it absolute
    except OSError:
        return ""
