"""Be one contestant in a process of its own: `python -P worker.py FILE NAME [CORE]`.

The first line of standard output says who is here, as JSON. Then each line of standard input is a number of calls, and
is answered by the CPU time of making so many messages and of sending them: two numbers of nanoseconds. Nothing but the
standard library is imported, so that the interpreter of any contestant can run it.
"""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

Contestant = tuple[Callable[[int], object], Callable[[object], Awaitable[object]], object]
"""What makes message number n, what sends it, and what sending number 0 must return."""

WARMING_CALLS = 3_000


async def measure(make: Callable[[int], object], send: Callable[[object], Awaitable[object]], calls: int) -> list[int]:
    """Return the nanoseconds of CPU that `calls` messages took to make, and then to send.

    Every message is sent once, as in life: a bus may do more for a message that it meets for the first time.
    """
    started = time.process_time_ns()
    messages = [make(number) for number in range(calls)]
    made = time.process_time_ns()
    for message in messages:
        await send(message)
    return [made - started, time.process_time_ns() - made]


async def prepare(contestant: Contestant) -> None:
    """Hold the contestant to its job, and let the interpreter specialise its code.

    Raises:
        SystemExit: it does not return what the job asks for.
    """
    make, send, expected = contestant
    answer = await send(make(0))
    if answer != expected:
        raise SystemExit(f"The contestant answered {answer!r} instead of {expected!r}")
    await measure(make, send, WARMING_CALLS)


def load(file: Path) -> dict[str, Callable[[], Contestant]]:
    """Import a file of contestants by its path, whatever else is installed under its name."""
    specification = importlib.util.spec_from_file_location(f"benchmarks_{file.stem}", file)
    if specification is None or specification.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    contestants: dict[str, Callable[[], Contestant]] = module.CONTESTANTS
    return contestants


def serve(file: Path, name: str) -> None:
    """Answer one line after another until standard input ends."""
    contestant = load(file)[name]()
    library = getattr(sys.modules[f"benchmarks_{file.stem}"], "LIBRARY", None)
    with asyncio.Runner() as runner:
        runner.run(prepare(contestant))
        version = importlib.metadata.version(library) if library else ""
        answer({"python": sys.version, "version": version})
        for line in sys.stdin:
            answer(runner.run(measure(*contestant[:2], int(line))))


def answer(content: object) -> None:
    """Write one line of JSON, and let the driver have it now."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    path, chosen, *core = sys.argv[1:]
    if core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core[0])})
    serve(Path(path), chosen)
