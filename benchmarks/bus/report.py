"""The table of one run, and its part of the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.bus.contestants import CONTESTANTS, Contestant
from benchmarks.bus.figures import GOALS, Sample, middle, ratio, spread
from benchmarks.bus.rounds import Outcome, chosen_core
from benchmarks.page import machine, markdown_table, python

HEAD = ("call", "us", "middle half", "x direct", "of python-cqrs", "making it, us", "leaves out")

SECTION = """## What a call on the buses costs

Written by `make bench ARGS="bus --write"` on {day}: {machine}, {python}, {rounds} rounds of {calls} calls{pinned}.

{table}

{goals}

### How to read it
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


def section(outcome: Outcome, how: Run) -> str:
    """Return the part of RESULTS.md that is about the buses."""
    return SECTION.format(
        day=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        python=python(),
        rounds=how.rounds,
        calls=how.calls,
        pinned="" if chosen_core() is None else ", all on one core",
        table=markdown_table(HEAD, rows(outcome)),
        goals=_goals(outcome.samples),
    )


def _goals(samples: Mapping[str, Sample]) -> str:
    lines = ["| goal | at most | found | why |", "| --- | ---: | ---: | --- |"]
    for goal in GOALS:
        found = _ratio(samples[goal.title], samples.get(goal.against), ".2f") or "not measured"
        lines.append(f"| {goal.title} / {goal.against} | {goal.at_most:.2f} | {found} | {goal.reason} |")
    return "\n".join(lines)
