"""Run contestants in turns, each in its own process, all on one core."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.bus.contestants import Contestant
from benchmarks.bus.figures import Sample
from benchmarks.environment import ROOT

WORKER = ROOT / "benchmarks" / "bus" / "worker.py"


class WorkerException(Exception):
    """Report a contestant that does not run, or not on the same Python as the others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a run found.

    Attributes:
        samples: By title, what the rounds took.
        versions: By title, the version of the library; the empty string for our own.
    """

    samples: Mapping[str, Sample]
    versions: Mapping[str, str]


@dataclass(slots=True)
class _Times:
    made: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)


class Worker:
    """Be one contestant's process; leaving the block ends it.

    Args:
        contestant: The contestant.
        python: The interpreter that has its library.
        core: The core to stay on; None leaves that to the operating system.
    """

    def __init__(self, contestant: Contestant, python: Path, core: int | None) -> None:
        self._title = contestant.title
        command = [str(python), "-P", str(WORKER), str(contestant.file), contestant.key]
        # Ours is found by the path, and by that of no other: python-cqrs is imported under the same name.
        surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if not contestant.is_peer:
            surroundings["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            command if core is None else [*command, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def version(self) -> str:
        """Return the version of its library; to be called once, before the first round.

        Raises:
            WorkerException: it did not start, or runs on another Python than this process.
        """
        introduced: dict[str, str] = json.loads(self._line())
        if introduced["python"] != sys.version:
            raise WorkerException(f"{self._title} runs on Python {introduced['python']}, the others on {sys.version}")
        return introduced["version"]

    def round(self, calls: int) -> tuple[float, float]:
        """Return the microseconds of CPU for making, and for sending, one message out of `calls`.

        Raises:
            WorkerException: it ended.
        """
        if self._process.stdin is not None:
            self._process.stdin.write(f"{calls}\n")
            self._process.stdin.flush()
        made, sent = json.loads(self._line())
        return made / calls / 1000, sent / calls / 1000

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise WorkerException(f"{self._title} ended with exit code {self._process.wait()}; it says why above")
        return line


def run(
    contestants: Sequence[Contestant],
    rounds: int,
    calls: int,
    *,
    peers: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Let each contestant take one turn in each round, in another order each time.

    Args:
        contestants: Who takes part.
        rounds: How often each has a turn.
        calls: Messages of one turn.
        peers: The Python of the other libraries.
        progress: Told after each round how many are done.

    Raises:
        WorkerException: a contestant does not run.
    """
    core = chosen_core()
    own = Path(sys.executable)
    order = random.Random(0)  # noqa: S311 - a fair order, no secret
    times = {contestant.title: _Times() for contestant in contestants}
    with ExitStack() as open_workers:
        workers = {
            each.title: open_workers.enter_context(Worker(each, peers if each.is_peer and peers else own, core))
            for each in contestants
        }
        versions = {title: worker.version() for title, worker in workers.items()}
        for done in range(1, rounds + 1):
            for title in order.sample(list(workers), len(workers)):
                made, sent = workers[title].round(calls)
                times[title].made.append(made)
                times[title].sent.append(sent)
            progress(done)
    return Outcome({title: Sample(tuple(each.made), tuple(each.sent)) for title, each in times.items()}, versions)


def chosen_core() -> int | None:
    """Return the core that every contestant stays on; None where the system cannot pin a process."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
