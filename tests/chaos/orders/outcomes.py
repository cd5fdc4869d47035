"""What the topics say became of the commands of one run."""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

from cqrs.testing.history import History
from tests.chaos.logs import Log
from tests.chaos.orders.judge import Published, Refused
from tests.chaos.orders.model import Command
from tests.chaos.orders.records import own, published, refused


class Outcomes:
    """Follow events and dead letters of the orders whose ids begin with a prefix.

    Args:
        bootstrap_servers: The brokers.
        events: The topic of events; what lies there before counts for nothing.
        letters: The topic of dead letters.
        prefix: What their keys begin with.

    Attributes:
        published: The events, in the order of each partition.
        refused: The dead letters, in the order of theirs.
        repeats: How many outcomes came for commands that had one.
        repeats_of: The same, by the life of the service that had brought the outcome before; see `next_life`.
    """

    def __init__(self, bootstrap_servers: str, events: str, letters: str, prefix: str) -> None:
        self._events = Log(bootstrap_servers, events, at_end=True)
        self._letters = Log(bootstrap_servers, letters)
        self._prefix = prefix
        self._by_order: defaultdict[str, tuple[list[Published], list[Refused]]] = defaultdict(lambda: ([], []))
        self._settled: dict[str, int] = {}  # in which life last
        self._life = 0
        self.published: list[Published] = []
        self.refused: list[Refused] = []
        self.repeats = 0
        self.repeats_of: Counter[int] = Counter()
        self._reading = threading.Lock()

    @property
    def settled(self) -> int:
        """Return how many commands have an outcome."""
        return len(self._settled)

    def read(self) -> int:
        """Read on to the present end, and return how many outcomes there are, repeats too; from any thread."""
        with self._reading:
            self._read()
            return len(self.published) + len(self.refused)

    def next_life(self) -> None:
        """Read what the life brought that ends here, and count what comes from now on to the next one; the first is 0.

        A kill repeats what was done and not committed. That may come late: the next life may die before it gets there.
        """
        self.read()
        self._life += 1

    def of(self, order: str) -> tuple[Sequence[Published], Sequence[Refused]]:
        """Return the events and the dead letters of one order."""
        return self._by_order[order]

    def _read(self) -> None:
        for message in own(self._events.to_end(), self._prefix):
            event = published(message)
            self.published.append(event)
            self._by_order[(message.key or b"").decode()][0].append(event)
            self._settle(event.command)
        for message in own(self._letters.to_end(), self._prefix):
            letter = refused(message)
            self.refused.append(letter)
            self._by_order[(message.key or b"").decode()][1].append(letter)
            self._settle(letter.command)

    def history(self, commands: Sequence[Command]) -> History:
        """Return the history of the commands.

        One that was refused, and run again with success after a crash, counts by its refusal: its event comes late by
        right, and `Trial` judges it.
        """
        history = History()
        refusals = {each.command for each in self.refused}
        for command in commands:
            history.sent(command.id, command.order)
        for letter in self.refused:
            history.dead_lettered(letter.command)
        for event in self.published:
            if event.command not in refusals:
                history.published(event.command)
        return history

    def close(self) -> None:
        """Let the connections go."""
        self._events.close()
        self._letters.close()

    def _settle(self, command: str) -> None:
        before = self._settled.get(command)
        if before is not None:
            self.repeats += 1
            self.repeats_of[before] += 1
        self._settled[command] = self._life
