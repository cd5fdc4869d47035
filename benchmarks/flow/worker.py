"""Be one contestant of the flow in a process of its own: `python -P worker.py FILE NAME [CORE]`.

The first line of its answers says who is here, as JSON. Then each line of standard input is one turn, and is answered
by what the clock found, how many spans were exported and the most memory that was used so far. Nothing but the
standard library is imported besides the contestant.
"""

import asyncio
import importlib.metadata
import json
import os
import resource
import sys
from pathlib import Path
from typing import TextIO, cast

from benchmarks.bus.worker import load
from benchmarks.flow.job import Clock, TakesTurn, Turn

TURN_SECONDS = 600.0
"""How long a turn may take before it counts as stuck."""


async def take_turn(contestant: TakesTurn, turn: Turn) -> dict[str, object]:
    """Run one turn, and return what was found.

    Raises:
        TimeoutError: it does not end.
    """
    clock, before = Clock(turn.messages), exported_spans()
    async with asyncio.timeout(TURN_SECONDS):
        await contestant(turn, clock)
    messages, cpu, duration = clock.measured()
    return {
        "messages": messages,
        "cpu_ns": cpu,
        "duration_ns": duration,
        "counted": clock.counted,
        "spans": exported_spans() - before,
        "peak_kib": peak_kib(),
    }


def peak_kib() -> int:
    """Return the most memory that this program has used so far, in KiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage() counts what the process was before this program ran in it, too
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def exported_spans() -> int:
    """Return how many spans this process has exported; none when it never loaded the exporter."""
    module = sys.modules.get("benchmarks.flow.exporting")
    return module.CountingExporter.spans if module is not None else 0


def serve(file: Path, name: str, answers: TextIO) -> None:
    """Answer one line after another until standard input ends."""
    contestant = cast("TakesTurn", load(file)[name])
    library = getattr(sys.modules[f"benchmarks_{file.stem}"], "LIBRARY", None)
    version = importlib.metadata.version(library) if library else ""
    _answer(answers, {"python": sys.version, "version": version})
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            _answer(answers, runner.run(take_turn(contestant, Turn(**json.loads(line)))))


def _answer(answers: TextIO, content: object) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def main() -> None:
    """Keep standard output for the answers: what else is printed goes to standard error."""
    path, chosen, *core = sys.argv[1:]
    if core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core[0])})
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(Path(path), chosen, answers)


if __name__ == "__main__":
    main()
