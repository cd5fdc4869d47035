"""`python -m benchmarks bus`: measure the buses, print the table, and compare it with the goals if asked to."""

import argparse
import sys
from collections.abc import Callable

from benchmarks.bus.contestants import CONTESTANTS
from benchmarks.bus.figures import missed
from benchmarks.bus.report import HEAD, Run, rows, section
from benchmarks.bus.rounds import WorkerException, run
from benchmarks.environment import EnvironmentException, peers_python
from benchmarks.options import add_outcome, positive
from benchmarks.page import keep, plain_table


def add_options(reader: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    reader.add_argument("--rounds", type=positive, default=60, help="turns of each contestant (default 60)")
    reader.add_argument("--calls", type=positive, default=2000, help="messages of one turn (default 2000)")
    add_outcome(reader)


def measure(chosen: argparse.Namespace) -> int:
    """Measure and report; return the exit code: 1 for a goal missed, 2 for what could not be measured."""
    how = Run(chosen.rounds, chosen.calls)
    contestants = [each for each in CONTESTANTS if not (chosen.own and each.is_peer)]
    try:
        peers = None if chosen.own else peers_python()
        outcome = run(contestants, how.rounds, how.calls, peers=peers, progress=_progress(how.rounds))
    except (EnvironmentException, WorkerException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(plain_table(HEAD, rows(outcome)) + "\n")
    if chosen.write:
        keep(section(outcome, how))
    problems = missed(outcome.samples) if chosen.check else []
    sys.stdout.writelines(f"missed: {problem}\n" for problem in problems)
    return 1 if problems else 0


def _progress(rounds: int) -> Callable[[int], None]:
    def show(done: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\rround {done} of {rounds}" + ("\n" if done == rounds else ""))
        elif done == rounds or done % 10 == 0:
            sys.stderr.write(f"round {done} of {rounds}\n")

    return show
