"""Run the contestants of the flow in turns, each in its own process, on one broker."""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.environment import ROOT
from benchmarks.flow.brokers import Broker, EventTopic, open_events, put_commands
from benchmarks.flow.cores import client_core
from benchmarks.flow.job import Turn, command
from benchmarks.flow.roster import Contestant
from benchmarks.rounds import WorkerException

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
    """

    def __init__(self, contestant: Contestant, python: Path, core: int | None) -> None:
        self.contestant = contestant
        command_line = [str(python), "-P", str(WORKER), str(contestant.file), contestant.key]
        self._folder = tempfile.TemporaryDirectory(prefix="flow-")
        self._process = subprocess.Popen(
            command_line if core is None else [*command_line, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=self._folder.name,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

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
        turn = Turn(bootstrap, commands, group, messages, self._folder.name, database)
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


def run(
    broker: Broker,
    contestants: Sequence[Contestant],
    rounds: int,
    messages: int,
    *,
    peers: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Mapping[str, Sequence[Measured]]:
    """Let each contestant take one turn in each round, in another order each time, after one that is not measured."""
    order = random.Random(0)  # noqa: S311 - a fair order, no secret
    own, core = Path(sys.executable), client_core()
    found: dict[str, list[Measured]] = {each.title: [] for each in contestants}
    open_events(broker)
    events = EventTopic(broker.bootstrap)
    with ExitStack() as open_workers:
        workers = [
            open_workers.enter_context(FlowWorker(each, peers if each.is_peer and peers else own, core))
            for each in contestants
        ]
        for worker in workers:
            worker.version()
        for number in range(rounds + 1):
            topic = f"flow.commands.{number}"
            put_commands(broker, topic, (command(each, number) for each in range(messages)))
            for worker in order.sample(workers, len(workers)):
                title = worker.contestant.title
                measured = worker.turn(broker.bootstrap, topic, f"{topic} {title}", messages)
                written = events.new()
                if worker.contestant.emits and written != messages:
                    raise WorkerException(f"{title} wrote {written} events for {messages} commands")
                progress(
                    f"round {number}: {title}: {measured.cpu:.1f} us, {measured.rate:.0f}/s, {measured.spans} spans"
                )
                if number:
                    found[title].append(measured)
    return found
