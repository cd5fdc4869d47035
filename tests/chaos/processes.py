"""Processes that are forked from one that has everything loaded: each is an own one to the system, and ready at once.

A service takes seconds to load. Where it dies hundreds of times, it is loaded once, and forked as often as is needed;
what runs, how it is configured and how it ends is the same.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.chaos.counted import count_tasks

SECONDS = 120.0
_LOADED = [
    "service.bootstrap",
    "cqrs.cli.app",
    "cqrs.cli.run",
    "cqrs.testing.crash",
    "asyncpg",
    "aiosqlite",
    "tests.chaos.member",
]

_LOOK_SECONDS = 0.2

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_LOADED)


class Forked:
    """Run a function in a process of its own; it is killed with the block, if it still runs.

    Args:
        name: Whose words the log file holds.
        run: What it runs: a module's function.
        arguments: Its arguments.
        log: Where what it writes goes.

    Attributes:
        name: As given.
        log: As given.
    """

    def __init__(self, name: str, run: Callable[..., object], *arguments: object, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: BaseProcess = _context.Process(target=_begin, args=(log, run, arguments), name=name)
        log.touch()
        self._process.start()

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._process.pid or 0

    @property
    def exit_code(self) -> int | None:
        """Return how it ended (-9 by SIGKILL), or None while it runs."""
        return self._process.exitcode

    def kill(self) -> int:
        """End it as a crash does, and return its exit code."""
        self._process.kill()
        return self.ended()

    def terminate(self) -> None:
        """Tell it to end, as an orchestrator does."""
        self._process.terminate()

    def ended(self, seconds: float = SECONDS) -> int:
        """Wait until it has ended, and return its exit code.

        Raises:
            TimeoutError: it did not end in time.
        """
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"{self.name} (process {self.pid}) did not end within {seconds:g} s")
        return code


def _begin(log: Path, run: Callable[..., object], arguments: tuple[object, ...]) -> None:
    # The console's Ctrl-C is for the one who started all this, who ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with log.open("ab", buffering=0) as words:
        os.dup2(words.fileno(), sys.stdout.fileno())
        os.dup2(words.fileno(), sys.stderr.fileno())
    run(*arguments)


def run_service(settings: Mapping[str, object], crash_at: str | None, counted: Path | None) -> None:
    """Be `python -m service run` with these settings.

    Args:
        settings: By their names.
        crash_at: The crash point at which it dies, if it does.
        counted: The file into which it writes how many tasks it has, if it does.
    """
    if counted is not None:
        count_tasks(counted)
    os.environ.update({name.upper(): str(value) for name, value in settings.items()})
    arguments = ["service", "run"]
    if crash_at is None:
        sys.argv = arguments
        runpy.run_module("service", run_name="__main__", alter_sys=True)
    else:
        from cqrs.testing.crash import main

        main(["--at", crash_at, "-m", *arguments])


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Ask until it is so.

    Raises:
        TimeoutError: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(_LOOK_SECONDS)
