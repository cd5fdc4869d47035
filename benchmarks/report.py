"""The table of one run, and the page that keeps it."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.figures import GOALS, Sample, middle, ratio, spread
from benchmarks.rounds import Outcome, chosen_core

RESULTS = Path(__file__).parent / "RESULTS.md"

HEAD = ("call", "us", "middle half", "x direct", "of python-cqrs", "making it, us", "leaves out")

PAGE = """# What a call on the buses costs

Written by `make bench ARGS=--write` on {day}: {machine}, {python}, {rounds} rounds of {calls} calls{pinned}.

{table}

{goals}

## How to read it
- us: microseconds of CPU (not of waiting) for one awaited call, the median over the rounds; beside it the bounds of the
  middle half of the rounds. Garbage collection runs as it does in a service.
- Every contestant is a process of its own on the same core, and takes one turn in each round, in an order that changes.
  Both ratios are medians over the rounds of the ratio within one round, so they hold when the machine is busy and can
  be compared between machines; the microseconds cannot.
- x direct: against `await handler.do_handle(message)` with nothing around it. Handlers return a field of the message.
- Every message is sent once. Making it is measured apart: ours gets its id and its time then.
- full: validation, authorization, correlation, the handler's time limit, and metrics in a Prometheus registry; tracing
  is off. Commands and queries without rules of their own have nothing to ask, which the pipeline knows beforehand;
  the line with own rules asks both hooks.
- traced: spans are recorded by OpenTelemetry with all of their attributes and exported nowhere.
- leaves out: which parts of the job the contestant does not do. No other library here does the whole of it.
- python-cqrs is set up as its README does, with its container and its logging middleware; "bare" is without both.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Say how a table came about.

    Attributes:
        rounds: Turns of each contestant.
        calls: Messages of one turn.
    """

    rounds: int
    calls: int


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return a line of text cells for each contestant that took part."""
    return [_row(each, outcome) for each in CONTESTANTS if each.title in outcome.samples]


def _row(contestant: Contestant, outcome: Outcome) -> tuple[str, ...]:
    sample = outcome.samples[contestant.title]
    lower, upper = spread(sample.sent)
    version = outcome.versions[contestant.title]
    return (
        f"{contestant.title} ({version})" if version else contestant.title,
        f"{middle(sample.sent):.2f}",
        f"{lower:.2f} to {upper:.2f}",
        _ratio(sample, outcome.samples.get(contestant.yardstick), ".0f"),
        _ratio(sample, outcome.samples.get(contestant.rival), ".2f"),
        f"{middle(sample.made):.2f}",
        contestant.lacks,
    )


def _ratio(sample: Sample, against: Sample | None, form: str) -> str:
    return "" if against is None else format(ratio(sample.sent, against.sent), form)


def plain_table(lines: Sequence[Sequence[str]]) -> str:
    """Return the table for a terminal."""
    widths = [max(len(line[column]) for line in (HEAD, *lines)) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, len(HEAD) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (HEAD, *lines)
    )


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Return the table for a page."""
    rule = ["---", *["---:"] * (len(HEAD) - 2), "---"]
    return "\n".join("| " + " | ".join(line) + " |" for line in (HEAD, rule, *lines))


def page(outcome: Outcome, how: Run) -> str:
    """Return the whole of RESULTS.md."""
    return PAGE.format(
        day=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        rounds=how.rounds,
        calls=how.calls,
        pinned="" if chosen_core() is None else ", all on one core",
        table=markdown_table(rows(outcome)),
        goals=_goals(outcome.samples),
    )


def _goals(samples: Mapping[str, Sample]) -> str:
    lines = ["| goal | at most | found | why |", "| --- | ---: | ---: | --- |"]
    for goal in GOALS:
        found = _ratio(samples[goal.title], samples.get(goal.against), ".2f") or "not measured"
        lines.append(f"| {goal.title} / {goal.against} | {goal.at_most:.2f} | {found} | {goal.reason} |")
    return "\n".join(lines)


def machine() -> str:
    """Return the processor, the number of cores and the kind of system."""
    cores = os.cpu_count()
    return f"{_processor()}, {cores} core{'s' if cores != 1 else ''}, {platform.system()}"


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
