"""The tables of the flow, and their part of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.bus.figures import middle, spread
from benchmarks.flow.figures import GOALS, cpu_ratio, found_ratio, rate_ratio
from benchmarks.flow.roster import CONTESTANTS, EMBEDDED, Contestant
from benchmarks.flow.rounds import Outcome
from benchmarks.page import machine, markdown_table, python

HEAD = (
    "contestant",
    "messages/s",
    "middle half",
    "us of CPU",
    "of its yardstick",
    "its CPU",
    "spans",
    "peak, MiB",
    "leaves out",
)

GOAL_HEAD = ("goal", "broker", "at least", "found", "why")

SECTION = """## What the whole flow costs

Written by `make bench ARGS="flow --write"` on {day}: {machine}, {python}, {rounds} rounds of {messages} messages, the
contestants on one core and the brokers on {cores}.

{tables}

### Goals of the flow

{goals}

### How to read it
- One job: a command in JSON with the headers of the wire contract is validated, authorized and handled without a
  database; its event goes out in Avro with its headers, acknowledged by all in-sync copies (idempotent producer); then
  the offset is committed. Before the first round the events of each contestant are read and compared with the commands:
  how many, whose ids, what they say, under which key, with which headers, in which trace. In each round they are
  counted.
- The commands of a round are there before the first turn. A turn has a new group and new clients, in a process that
  lives on. The clock starts when a tenth of the messages has passed, and ends with the last one.
- us of CPU: of the whole process with its threads, by message. Each contestant has the same core to itself. Rates
  suffer when the machine is busy; ratios within a round hardly do.
- of its yardstick: messages/s against the loop that does the same: traced against the one with two spans a message,
  no-op against one that decodes and commits, handlers that wait against one at a time, the order service against ours
  without a database, all others against the plain loop. its CPU: the same of the CPU, where less is better. Both are
  medians over the rounds of the ratio within one round. The goal of the no-op handler is set against the plain loop,
  as that of the whole pipeline; the table has the harder comparison, with a loop that publishes nothing either.
- spans: exported, by message. Every traced contestant has a batching processor before an exporter that counts and sends
  nothing. Processors drop spans when they are behind: whoever exports fewer than it makes was faster for it.
- Slow contestants take fewer messages in a turn, no-op ones more. FastStream's logging is off. Handlers of 1 ms and of
  10 ms sleep so long.
"""


@dataclass(frozen=True, slots=True)
class How:
    """Say how a run went.

    Attributes:
        rounds: Turns of each contestant.
        messages: Messages of one turn of the fast ones.
        cores: Where the brokers were: "another" or "the same".
    """

    rounds: int
    messages: int
    cores: str


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return a line of text cells for each contestant that took part, and for each that could not."""
    lines: list[tuple[str, ...]] = []
    for each in CONTESTANTS:
        if outcome.turns.get(each.title):
            lines.append(_row(each, outcome))
        elif each.title in outcome.left_out:
            lines.append((each.title, *[""] * (len(HEAD) - 2), f"not measured: {outcome.left_out[each.title]}"))
    return lines


def _row(contestant: Contestant, outcome: Outcome) -> tuple[str, ...]:
    turns = outcome.turns[contestant.title]
    rates = [each.rate for each in turns]
    lower, upper = spread(rates)
    against = outcome.turns.get(contestant.yardstick)
    version = outcome.versions.get(contestant.title)
    spans = middle([each.spans for each in turns])
    return (
        f"{contestant.title} ({version})" if version else contestant.title,
        f"{middle(rates):,.0f}",
        f"{lower:,.0f} to {upper:,.0f}",
        f"{middle([each.cpu for each in turns]):.1f}",
        f"{rate_ratio(turns, against):.3g}" if against else "",
        f"{cpu_ratio(turns, against):.3g}" if against else "",
        f"{spans:.2g}" if spans else "",
        f"{max(each.peak for each in turns):.0f}",
        contestant.lacks or "nothing",
    )


def goal_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return a line for each goal on each broker that it counts on."""
    return [
        (
            f"{goal.title} / {goal.against}",
            outcome.broker,
            f"{goal.at_least:g}",
            _shown(found_ratio(outcome, goal)),
            goal.reason,
        )
        for goal in GOALS
        for outcome in outcomes
        if outcome.broker in goal.brokers
    ]


def _with_article(broker: str) -> str:
    return f"the {broker}" if broker == EMBEDDED else broker


def _shown(found: float | None) -> str:
    return "not measured" if found is None else f"{found:.3g}"


def section(outcomes: Sequence[Outcome], how: How, further: str = "") -> str:
    """Return the part of RESULTS.md that is about the flow."""
    tables = [f"### On {_with_article(each.broker)}\n\n{markdown_table(HEAD, rows(each))}" for each in outcomes]
    return SECTION.format(
        day=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        python=python(),
        rounds=how.rounds,
        messages=f"{how.messages:,}",
        cores=how.cores,
        tables="\n\n".join([*tables, *([further] if further else [])]),
        goals=markdown_table(GOAL_HEAD, goal_rows(outcomes)),
    )
