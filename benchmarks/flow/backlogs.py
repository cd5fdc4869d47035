"""Backlogs of growing length: what a message costs, and how much memory the service takes, must not grow with them."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flow.brokers import Broker, open_events, put_commands
from benchmarks.flow.cores import client_core
from benchmarks.flow.job import EVENTS, command
from benchmarks.flow.roster import CONTESTANTS, OWN
from benchmarks.flow.workers import FlowWorker, Measured

SHORTEST = 10_000
GROWTH = 10

MOST_MEMORY = 1.25
"""How much more memory the longest backlog may take than the shortest: what it reads ahead is bounded."""

MOST_CPU = 1.15
"""How much more CPU a message of the longest backlog may take than one of the shortest."""

HEAD = ("backlog", "messages/s", "us of CPU", "peak, MiB", "")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Hold what one backlog took, in a process of its own.

    Attributes:
        messages: How long it was.
        measured: What it took.
    """

    messages: int
    measured: Measured


def lengths(longest: int) -> list[int]:
    """Return the backlogs to measure: ten times longer each, up to the longest."""
    found = [SHORTEST]
    while found[-1] * GROWTH <= longest:
        found.append(found[-1] * GROWTH)
    return found


def measure_backlogs(broker: Broker, longest: int, progress: Callable[[str], None]) -> list[Backlog]:
    """Let our service work off each backlog, in a process that is new each time.

    Raises:
        WorkerException: it does not run.
        BrokerException: the broker does not take the commands, or does not keep them all.
    """
    own = next(each for each in CONTESTANTS if each.title == OWN)
    open_events(broker, [EVENTS])
    found = []
    for series, messages in enumerate(lengths(longest)):
        topic = f"flow.backlog.{messages}"
        put_commands(broker, topic, (command(number, series) for number in range(messages)))
        with FlowWorker(own, Path(sys.executable), client_core()) as worker:
            worker.version()
            measured = worker.turn(broker.bootstrap, topic, topic, messages)
        progress(f"backlog of {messages:,}: {measured.cpu:.1f} us of CPU a message, {measured.peak:.0f} MiB at most")
        found.append(Backlog(messages, measured))
    return found


def rows(backlogs: Sequence[Backlog]) -> list[tuple[str, ...]]:
    """Return a line of text cells for each backlog."""
    return [
        (
            f"{each.messages:,}",
            f"{each.measured.rate:,.0f}",
            f"{each.measured.cpu:.1f}",
            f"{each.measured.peak:.0f}",
            "",
        )
        for each in backlogs
    ]


def missed(backlogs: Sequence[Backlog]) -> list[str]:
    """Return a sentence for each bound that the longest backlog breaks."""
    return list(_broken(backlogs[0], backlogs[-1])) if len(backlogs) > 1 else []


def _broken(shortest: Backlog, longest: Backlog) -> Iterator[str]:
    what = f"a backlog of {longest.messages:,} takes"
    memory = longest.measured.peak / shortest.measured.peak
    if memory > MOST_MEMORY:
        yield f"{what} {memory:.2f} of the memory of {shortest.messages:,}; at most {MOST_MEMORY} is the goal"
    cpu = longest.measured.cpu / shortest.measured.cpu
    if cpu > MOST_CPU:
        yield f"{what} {cpu:.2f} of the CPU a message of {shortest.messages:,}; at most {MOST_CPU} is the goal"
