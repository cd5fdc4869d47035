"""A stop signal that comes while the libraries load ends `run` in order."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Stops the program where its first library would load: `typer` tells that it was asked for, and waits for the signal.
STANDING_STILL = """
import os, runpy, sys

class Standstill:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            print("loading", flush=True)
            sys.stdin.read()
        return None

sys.meta_path.insert(0, Standstill())
runpy.run_module("service", run_name="__main__", alter_sys=True)
"""


def loading(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - the project's own program
        [sys.executable, "-c", STANDING_STILL, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_with_0_while_it_still_loads(number: signal.Signals) -> None:
    with loading("run") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(number)
        assert process.wait(20) == 0


def test_other_commands_end_as_programs_do() -> None:
    with loading("settings") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
