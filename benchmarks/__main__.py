"""`python -m benchmarks [bus | flow | profile]`: without a word, both tables with their defaults."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks import options, page
from benchmarks.bus import command as bus
from benchmarks.flow import command as flow
from benchmarks.flow import profile_command as profile


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    reader = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the buses and the whole flow.")
    choices = reader.add_subparsers(dest="what", required=True)
    bus.add_options(choices.add_parser("bus", help="what a call on the buses costs"))
    flow.add_options(choices.add_parser("flow", help="what the whole flow costs, from command to event"))
    profile.add_options(choices.add_parser("profile", help="where the time of our flow goes, by stage"))
    options.add_outcome(choices.add_parser("all", help="both tables; this is what no word means"))
    return reader


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return the exit code: 1 for a goal missed, 2 for what could not be measured."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("--own", "--check", "--write"):
        given = ["all", *given]
    chosen = parser().parse_args(given)
    if chosen.what != "profile" and chosen.own and (chosen.check or chosen.write):
        sys.stderr.write("--check and --write need the other libraries; leave --own out\n")
        return 2
    if chosen.what == "all":
        return max([main(["bus", *given[1:]]), main(["flow", *given[1:]])])
    if page.build() == page.PLAIN:
        sys.stderr.write(f"{page.python()}: slower for all Python code; `make bench PYTHON=...` takes another\n")
    if chosen.what == "profile":
        return profile.measure(chosen)
    return bus.measure(chosen) if chosen.what == "bus" else flow.measure(chosen)


if __name__ == "__main__":
    sys.exit(main())
