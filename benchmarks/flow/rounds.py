"""Run the contestants of the flow in turns, each in its own process, on one broker."""

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bus.rounds import WorkerException
from benchmarks.flow.brokers import Broker, EventTopic, committed, open_events, put_commands
from benchmarks.flow.checks import Asked, problems
from benchmarks.flow.cores import client_core
from benchmarks.flow.job import command
from benchmarks.flow.roster import Contestant
from benchmarks.flow.workers import FlowWorker, Measured

CHECKED = 2_000
"""Commands of the turn before the first round, whose events are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a run on one broker found.

    Attributes:
        broker: The broker's name.
        turns: By title, what each round took.
        versions: By title, the version of the library, or the empty string.
        left_out: By title, why a contestant did not take part.
    """

    broker: str
    turns: Mapping[str, Sequence[Measured]]
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Say how a run goes.

    Attributes:
        rounds: Turns of each contestant.
        messages: Messages of one turn of the fast ones.
        peers: The Python of the other libraries.
        database: The URL of a PostgreSQL database, or the empty string.
    """

    rounds: int
    messages: int
    peers: Path | None = None
    database: str = ""


class Rounds:
    """Run rounds on one broker; leaving the block ends every contestant's process.

    Args:
        broker: The broker.
        contestants: Who takes part.
        plan: How the run goes.
        progress: Told of each turn, in a line.
    """

    def __init__(
        self, broker: Broker, contestants: Sequence[Contestant], plan: Plan, progress: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._plan = plan
        self._progress = progress
        self._order = random.Random(0)  # noqa: S311 - a fair order, no secret
        self._topics: set[str] = set()
        self._closing = ExitStack()
        self._contestants = contestants

    def run(self) -> Outcome:
        """Let each contestant take a turn in each round, in another order each time, after one that is checked.

        Raises:
            WorkerException: a contestant does not run, or does not do the job.
            BrokerException: the broker does not take the commands, or does not give the events back.
        """
        found: dict[str, list[Measured]] = {each.title: [] for each in self._contestants}
        with self._closing:
            workers = [self._started(each) for each in self._contestants]
            versions = {each.contestant.title: each.version() for each in workers}
            topics = sorted({each.events for each in self._contestants if each.events})
            open_events(self._broker, topics)
            self._events = {topic: self._watched(topic) for topic in topics}
            for worker in workers:
                self._checked(worker)
            for number in range(1, self._plan.rounds + 1):
                for worker in self._order.sample(workers, len(workers)):
                    found[worker.contestant.title].append(self._measured(worker, number))
        return Outcome(self._broker.name, found, versions)

    def _started(self, contestant: Contestant) -> FlowWorker:
        own = Path(sys.executable)
        python = self._plan.peers or own if contestant.is_peer else own
        return self._closing.enter_context(FlowWorker(contestant, python, client_core()))

    def _watched(self, topic: str) -> EventTopic:
        return self._closing.enter_context(closing(EventTopic(self._broker.bootstrap, topic)))

    def _checked(self, worker: FlowWorker) -> None:
        contestant = worker.contestant
        asked = Asked(0, contestant.messages(min(CHECKED, self._plan.messages), self._broker.name))
        measured = self._turn(worker, asked)
        place = self._topic(contestant, asked), self._group(contestant, asked)
        events = [event for topic in self._events.values() for event in topic.read_new()]
        wrong = problems(contestant, asked, events)
        if contestant.traced and measured.spans == 0:
            wrong.append("exported no span")
        if (done := committed(self._broker, *place)) != asked.messages:
            wrong.append(f"committed {done} of {asked.messages} commands")
        if wrong:
            raise WorkerException(f"{contestant.title} does not do the job: {'; '.join(wrong)}")
        self._progress(f"checked: {contestant.title}: {len(events)} events for {asked.messages} commands")

    def _measured(self, worker: FlowWorker, number: int) -> Measured:
        contestant = worker.contestant
        asked = Asked(number, contestant.messages(self._plan.messages, self._broker.name))
        measured = self._turn(worker, asked)
        written = sum(topic.count_new() for topic in self._events.values())
        expected = asked.messages if contestant.events else 0
        if written != expected:
            raise WorkerException(f"{contestant.title} wrote {written} events instead of {expected} in round {number}")
        self._progress(
            f"round {number} of {self._plan.rounds}: {contestant.title}: "
            f"{measured.rate:,.0f} messages/s, {measured.cpu:.1f} us of CPU each"
        )
        return measured

    def _turn(self, worker: FlowWorker, asked: Asked) -> Measured:
        contestant = worker.contestant
        topic = self._topic(contestant, asked)
        if topic not in self._topics:
            commands = (command(number, asked.series, contestant.job) for number in range(asked.messages))
            put_commands(self._broker, topic, commands)
            self._topics.add(topic)
        database = self._plan.database if contestant.postgres else ""
        group = self._group(contestant, asked)
        return worker.turn(self._broker.bootstrap, topic, group, asked.messages, database)

    def _topic(self, contestant: Contestant, asked: Asked) -> str:
        kind = "orders" if contestant.job == "order" else "places"
        return f"flow.commands.{kind}.{asked.series}.{asked.messages}"

    def _group(self, contestant: Contestant, asked: Asked) -> str:
        return f"{self._topic(contestant, asked)}.{self._contestants.index(contestant)}"
