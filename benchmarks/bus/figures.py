"""Medians, spreads and ratios of interleaved rounds, and the goals that they are held to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.bus.contestants import PYTHON_CQRS_QUERY, PYTHON_CQRS_SEND, QUERY_FULL, SEND, SEND_FULL, SEND_WITH_RULES


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what the rounds of one contestant took; round number n of each ran close in time to that of all others.

    Attributes:
        made: Microseconds of CPU to make one message, by round.
        sent: Microseconds of CPU to send one message, by round.
    """

    made: tuple[float, ...]
    sent: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """Bound one contestant by another, so that the goal means the same on any machine.

    Attributes:
        title: Whose cost is bounded.
        against: By whose cost.
        at_most: The highest ratio of the two.
        reason: Where the number comes from.
    """

    title: str
    against: str
    at_most: float
    reason: str


GOALS = (
    Goal(SEND_FULL, PYTHON_CQRS_SEND, 0.4, "6 us where python-cqrs takes 15; it takes 12 to 17"),
    Goal(SEND_WITH_RULES, PYTHON_CQRS_SEND, 0.6, "asking two hooks costs no more than half of that again"),
    Goal(SEND, SEND_FULL, 0.85, "a step that is off costs nothing: without metrics a command costs less"),
    Goal(QUERY_FULL, PYTHON_CQRS_QUERY, 0.4, "a query costs no more than a command"),
)
"""What `--check` holds the measurement to."""


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return median(values)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the middle half: the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return lower, upper


def ratio(values: Sequence[float], against: Sequence[float]) -> float:
    """Return the median of the ratios of each round, in which both met the same load and the same clock."""
    return median(value / other for value, other in zip(values, against, strict=True))


def missed(samples: Mapping[str, Sample], goals: Sequence[Goal] = GOALS) -> list[str]:
    """Return a sentence for each goal that the samples miss; one whose contestants took no part is missed too."""
    return [sentence for goal in goals if (sentence := _judged(samples, goal)) is not None]


def _judged(samples: Mapping[str, Sample], goal: Goal) -> str | None:
    absent = [title for title in (goal.title, goal.against) if title not in samples]
    if absent:
        return f"{goal.title}: {' and '.join(absent)} took no part, so nothing is known of this goal"
    found = ratio(samples[goal.title].sent, samples[goal.against].sent)
    if found <= goal.at_most:
        return None
    return f"{goal.title} takes {found:.2f} of {goal.against}; at most {goal.at_most} is the goal: {goal.reason}"
