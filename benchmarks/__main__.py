"""`python -m benchmarks`: measure, print the table, and compare it with the goals if asked to."""

import argparse
import sys
from collections.abc import Callable, Sequence

from benchmarks.contestants import CONTESTANTS
from benchmarks.environment import EnvironmentException, peers_python
from benchmarks.figures import missed
from benchmarks.report import RESULTS, Run, page, plain_table, rows
from benchmarks.rounds import WorkerException, run


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what a call on the buses costs.")
    reader.add_argument("--rounds", type=_positive, default=60, help="turns of each contestant (default 60)")
    reader.add_argument("--calls", type=_positive, default=2000, help="messages of one turn (default 2000)")
    reader.add_argument("--own", action="store_true", help="leave the other libraries out; nothing is installed then")
    reader.add_argument("--check", action="store_true", help="exit with 1 when a ratio misses its goal")
    reader.add_argument("--write", action="store_true", help=f"write the table into benchmarks/{RESULTS.name}")
    return reader


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return the exit code: 1 for a goal missed, 2 for what could not be measured."""
    chosen = parser().parse_args(arguments)
    if chosen.own and (chosen.check or chosen.write):
        sys.stderr.write("--check and --write need the other libraries; leave --own out\n")
        return 2
    how = Run(chosen.rounds, chosen.calls)
    contestants = [each for each in CONTESTANTS if not (chosen.own and each.is_peer)]
    try:
        peers = None if chosen.own else peers_python()
        outcome = run(contestants, how.rounds, how.calls, peers=peers, progress=_progress(how.rounds))
    except (EnvironmentException, WorkerException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(plain_table(rows(outcome)) + "\n")
    if chosen.write:
        RESULTS.write_text(page(outcome, how), "utf-8")
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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
