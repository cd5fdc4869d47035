"""Be the driver's side of a contestant of the flow: its process, and what a turn of it took."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.bus.rounds import WorkerException
from benchmarks.environment import ROOT
from benchmarks.flow.job import Turn
from benchmarks.flow.roster import Contestant

WORKER = ROOT / "benchmarks" / "flow" / "worker.py"


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold what one turn took.

    Attributes:
        rate: Messages a second.
        cpu: Microseconds of CPU of the whole process, by message.
        spans: Spans exported, by message.
        peak: The most memory that the process has used so far, in MiB.
    """

    rate: float
    cpu: float
    spans: float
    peak: float


class FlowWorker:
    """Be one contestant's process; leaving the block ends it.

    Args:
        contestant: The contestant.
        python: The interpreter that has its library.
        core: The core to stay on; None leaves that to the operating system.

    Attributes:
        contestant: The contestant.
        folder: A folder of its own, deleted with it.
    """

    def __init__(self, contestant: Contestant, python: Path, core: int | None) -> None:
        self.contestant = contestant
        command_line = [str(python), "-P", str(WORKER), str(contestant.file), contestant.key]
        self._temporary = tempfile.TemporaryDirectory(prefix="flow-")
        self.folder = self._temporary.name
        self._process = subprocess.Popen(
            command_line if core is None else [*command_line, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=self.folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._temporary.cleanup()

    def version(self) -> str:
        """Wait until it is ready, and return the version of its library.

        Raises:
            WorkerException: it ended, or runs on another Python.
        """
        introduced: dict[str, str] = json.loads(self._line())
        if introduced["python"] != sys.version:
            raise WorkerException(
                f"{self.contestant.title} runs on Python {introduced['python']}, the others on {sys.version}"
            )
        return introduced["version"]

    def turn(self, bootstrap: str, commands: str, group: str, messages: int, database: str = "") -> Measured:
        """Let it take a turn.

        Raises:
            WorkerException: it ended, or did more or less than was asked.
        """
        turn = Turn(bootstrap, commands, group, messages, self.folder, database)
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(asdict(turn)) + "\n")
            self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._line())
        if found["counted"] != messages:
            raise WorkerException(f"{self.contestant.title} handled {found['counted']} of {messages} messages")
        return Measured(
            rate=found["messages"] / found["duration_ns"] * 1e9,
            cpu=found["cpu_ns"] / found["messages"] / 1_000,
            spans=found["spans"] / messages,
            peak=found["peak_kib"] / 1_024,
        )

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise WorkerException(
                f"{self.contestant.title} ended with exit code {self._process.wait()}; it says why above"
            )
        return line
