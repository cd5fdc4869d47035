"""Ratios of interleaved rounds of the flow, and the goals that they are held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.flow.roster import (
    EMBEDDED,
    FASTSTREAM,
    KAFKA,
    OWN,
    OWN_IDLE,
    OWN_TRACED,
    OWN_WAITING,
    PLAIN,
    SPANS,
    WAITING,
)
from benchmarks.flow.rounds import Outcome
from benchmarks.flow.workers import Measured


@dataclass(frozen=True, slots=True)
class Goal:
    """Bound the rate of one contestant from below by that of another, so that it means the same on any machine.

    Attributes:
        title: Whose rate is bounded.
        against: By whose rate.
        at_least: The lowest ratio of the two.
        reason: Where the number comes from.
        brokers: On which brokers it counts.
    """

    title: str
    against: str
    at_least: float
    reason: str
    brokers: tuple[str, ...] = (EMBEDDED, KAFKA)


GOALS = (
    Goal(OWN, PLAIN, 0.4, "lanes, policy and metrics cost no more than one and a half times the client and the codec"),
    Goal(
        OWN,
        FASTSTREAM,
        50.0,
        "one acknowledgement and one commit a message is what a framework need not wait for",
        (KAFKA,),
    ),
    Goal(OWN_TRACED, SPANS, 1.5, "a trace for each message, without what the SDK's spans cost on the way"),
    Goal(OWN_IDLE, PLAIN, 0.6, "where nothing is published, little more than the client's own work is left"),
    Goal(OWN_WAITING, WAITING, 50.0, "a hundred lanes wait together"),
)
"""What `--check` holds the measurement to."""


def rate_ratio(turns: Sequence[Measured], against: Sequence[Measured]) -> float:
    """Return the median of the ratios of messages a second of each round, in which both met the same load."""
    return median(each.rate / other.rate for each, other in zip(turns, against, strict=True))


def cpu_ratio(turns: Sequence[Measured], against: Sequence[Measured]) -> float:
    """Return the median of the ratios of CPU a message of each round."""
    return median(each.cpu / other.cpu for each, other in zip(turns, against, strict=True))


def found_ratio(outcome: Outcome, goal: Goal) -> float | None:
    """Return the ratio that a goal is about, or None when one of its contestants took no part."""
    turns, against = outcome.turns.get(goal.title), outcome.turns.get(goal.against)
    return rate_ratio(turns, against) if turns and against else None


def missed(outcome: Outcome, goals: Sequence[Goal] = GOALS) -> list[str]:
    """Return a sentence for each goal that was missed; one whose contestants took no part is missed too."""
    return [
        sentence
        for goal in goals
        if outcome.broker in goal.brokers and (sentence := _judged(outcome, goal)) is not None
    ]


def _judged(outcome: Outcome, goal: Goal) -> str | None:
    found = found_ratio(outcome, goal)
    if found is None:
        absent = [title for title in (goal.title, goal.against) if not outcome.turns.get(title)]
        return f"{outcome.broker}: {' and '.join(absent)} took no part, so nothing is known of this goal"
    if found >= goal.at_least:
        return None
    return (
        f"{outcome.broker}: {goal.title} does {found:.2f} of {goal.against}; at least {goal.at_least:g} is the goal: "
        f"{goal.reason}"
    )
