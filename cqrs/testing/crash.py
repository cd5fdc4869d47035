"""Run a program as `python -m` does, and have it kill itself at a named point.

    python -m cqrs.testing.crash --at acked:137 -m service run

`cqrs.testing.crash_points` lists the points. The program itself knows nothing of it.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence

from cqrs.exceptions import ConfigurationException
from cqrs.testing.crash_points import CrashAt, CrashPoint, die
from cqrs.testing.passages import Passages
from cqrs.wrapping import wrapped


def main(arguments: Sequence[str]) -> None:
    """Run the program that `arguments` name; when it ends without having come to the point, say so on stderr."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        crash = CrashAt(given.at, lambda: _say_and_die(given.at))
    except ConfigurationException as error:
        parser.error("; ".join(error.problems))
    if not given.program:
        parser.error("-m MODULE is missing: the program that is to be killed")
    sys.argv = [*given.program]
    try:
        with wrapped(Passages(crash)):
            runpy.run_module(given.program[0], run_name="__main__", alter_sys=True)
    finally:
        _say(f"{given.at} was not reached; {crash.point.value} was passed {crash.passages} times")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cqrs.testing.crash", description=(__doc__ or "").splitlines()[0])
    points = ", ".join(each.value for each in CrashPoint)
    parser.add_argument("--at", required=True, metavar="POINT:NUMBER", help=f"the n-th passage of one of: {points}")
    parser.add_argument(
        "-m", dest="program", nargs=argparse.REMAINDER, metavar="MODULE ...", help="the program and its arguments"
    )
    return parser


def _say_and_die(at: str) -> None:
    _say(f"dies at {at}")
    die()


def _say(text: str) -> None:
    sys.stderr.write(f"cqrs.testing.crash: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
