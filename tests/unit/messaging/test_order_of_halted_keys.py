"""Records of a halted key run in their order, whatever is redriven, discarded, handed over: checked against a model."""

import logging
import math
from collections.abc import Coroutine, Iterator
from typing import TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cqrs.messaging.backoff import Backoff
from cqrs.messaging.commit_note import CommitNote, read_note, write_note
from cqrs.messaging.dead_letter_headers import ORIGINAL_OFFSET, REDRIVE_COUNT
from cqrs.messaging.dead_letters import DeadLetters, dead_letter
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, fold
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.failures import Failures
from cqrs.messaging.halting import HaltedKeys, halt
from cqrs.messaging.letter_facts import LetterFacts, Selection, read_facts
from cqrs.messaging.message import Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.redrive import RedriveRules, plan_redrive, redriven
from cqrs.messaging.retry import Retries, RetryPolicy, retry
from cqrs.messaging.retry_topics import RetryTopics

T = TypeVar("T")
PLACE = TopicPartition("cmd", 0)
RULES = RedriveRules(str, "{}-dlt".format, {"cmd": 1}, limit=1_000)
KEYS = [b"a", b"b"]
MOST = 40
"""How many records there are when nothing more is redriven: those that are read again come back twice."""


class NoRetryTopics:
    def retry_topics(self, _: str) -> tuple[str, ...]:
        return ()

    def source_of(self, topic: str) -> str:
        return topic

    def delay_seconds(self, _: str) -> float:
        return 0.0


class Log:
    """Be one partition of a topic."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.messages: list[Message] = []

    async def send(self, message: OutgoingMessage) -> Receipt:
        offset = len(self.messages)
        self.messages.append(Message(self.topic, 0, offset, message.key, message.value, message.headers))
        return Receipt(self.topic, 0, offset)


def now(work: Coroutine[object, None, T]) -> T:
    """Return what `work` returns, which waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    raise AssertionError("it waits")


class World:
    """A partition and its dead letters, a service that fails and is handed over, an operator who redrives and discards.

    What a record is called is where it lay first. A letter that its key's release did not know of is late: the one kind
    that may run behind newer records, as the summary of a redrive says.
    """

    def __init__(self) -> None:
        self.commands, self.letters = Log("cmd"), Log("cmd-dlt")
        self.settled: set[int] = set()
        self.ended: set[int] = set()
        self.late: set[int] = set()
        self.letter_of: dict[int, int] = {}
        self.failing: dict[int, Exception] = {}
        self.committed = Position(0)
        self.wrong: list[str] = []
        self.take_over()

    def take_over(self) -> None:
        self.keys = HaltedKeys()
        note = read_note(self.committed.offset, self.committed.metadata)
        self.keys.assign(PLACE, note.halted, note.stopped)
        self.next = self.committed.offset
        retries = Retries(
            Failures(),
            RetryPolicy(1, 60.0, "halt_key"),
            {},
            Backoff(0.0, 0.0),
            RetryTopics(self.letters, NoRetryTopics(), "g"),
        )
        letters = DeadLetters(self.letters, "g", "{}-dlt".format)
        self.handle = fold([halt(self.keys), dead_letter(letters, Backoff(0.0, 0.0)), retry(retries)], self.run_one)

    async def run_one(self, delivery: Delivery) -> Outcome:
        first = first_of(delivery.message)
        error = self.failing.get(first)
        if isinstance(error, ConnectionError) and not self.may_halt(delivery.message):
            error = None
        if not isinstance(error, ConnectionError):
            passed = [each for each in self.open_before(delivery.message) if each not in self.late]
            self.wrong += [f"{first} ran before {passed}"] if passed else []
            self.ended.add(first)
        if error is not None:
            raise error
        return HANDLED

    def open_before(self, message: Message) -> Iterator[int]:
        """Yield what lies before a record of its key and has neither run nor been given up for good."""
        for each in self.commands.messages[: first_of(message)]:
            if each.key == message.key and each.offset == first_of(each) and each.offset not in self.ended:
                yield each.offset

    def may_halt(self, message: Message) -> bool:
        """Say whether a record halts its key here: an original one not, with redriven ones on their way."""
        return REDRIVE_COUNT in dict(message.headers) or not any(
            REDRIVE_COUNT in dict(each.headers) and each.key == message.key
            for each in self.commands.messages[message.offset :]
        )

    def does(self, what: str, number: int, error: Exception | None) -> None:
        """Let one thing happen; `number` says to what, or how much."""
        if what == "produce":
            self.produce(KEYS[number % 4 == 0], error)
        elif what == "mend":
            self.mend(number, error)
        elif what == "work":
            self.work(1 + number)
        elif what == "commit":
            self.commit()
        elif what == "hand over":
            self.take_over()
        elif what == "redrive" and len(self.commands.messages) < MOST:
            self.redrive(number / 4)
        elif what == "discard" and self.outstanding():
            self.discard(self.outstanding()[number % len(self.outstanding())])

    def produce(self, key: bytes, error: Exception | None) -> None:
        receipt = now(self.commands.send(OutgoingMessage("cmd", key, b"v", (), 0)))
        if error is not None:
            self.failing[receipt.offset] = error

    def mend(self, number: int, error: Exception | None) -> None:
        if self.failing:
            first = sorted(self.failing)[number % len(self.failing)]
            del self.failing[first]
            if error is not None:
                self.failing[first] = error

    def work(self, count: int) -> None:
        for message in self.commands.messages[self.next : self.next + count]:
            held = self.keys.beside(message).holds(message)
            before = len(self.letters.messages)
            now(self.handle(Delivery(message, read_envelope(message))))
            self.next += 1
            if len(self.letters.messages) > before:
                self.letter_of[first_of(message)] = before
            if held and not self.keys.beside(message).holds(message):
                self._released(message)

    def _released(self, message: Message) -> None:
        seen = int(dict(message.headers)["cqrs-redrive-seen"] or b"")
        self.late |= {
            each
            for each, letter in self.letter_of.items()
            if letter >= seen and self.commands.messages[each].key == message.key
        }

    def commit(self) -> None:
        note = CommitNote((), self.keys.of(PLACE), self.keys.stopped(PLACE))
        self.committed = Position(self.next, write_note(self.next, note))

    def redrive(self, share: float) -> None:
        """Send what is planned, or a part of it before the redrive is killed; what was sent is settled."""
        planned = plan_redrive(self.outstanding(), Selection(), RULES).sent
        seen = len(self.letters.messages)
        for decision in planned[: math.ceil(share * len(planned))]:
            letter = self.letters.messages[decision.letter.offset]
            now(self.commands.send(redriven(decision, letter, seen=seen)))
            self.settled.add(letter.offset)

    def discard(self, letter: LetterFacts) -> None:
        self.settled.add(letter.offset)
        assert letter.origin is not None
        self.ended.add(letter.origin.offset)

    def outstanding(self) -> list[LetterFacts]:
        return [read_facts(each) for each in self.letters.messages if each.offset not in self.settled]

    def ends_well(self) -> None:
        """Mend everything: one redrive of what is left of a key lets it go on."""
        self.failing.clear()
        self.work(len(self.commands.messages))
        left = {each.key for each in self.outstanding() if each.is_halted}
        self.redrive(1.0)
        self.work(len(self.commands.messages))
        assert self.outstanding() == []
        for key in left:
            self.produce(key or b"", None)
        self.work(len(left))
        assert self.outstanding() == [], "it goes on"


def first_of(message: Message) -> int:
    found = dict(message.headers).get(ORIGINAL_OFFSET)
    return message.offset if found is None else int.from_bytes(found, "big")


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


HAPPENINGS = ["produce"] * 4 + ["work"] * 4 + ["redrive"] * 3 + ["mend", "commit", "hand over", "discard"]
ERRORS = [None, ConnectionError("away"), ConnectionError("away"), ValueError("refused")]


@pytest.mark.usefixtures("quiet")
@settings(max_examples=60, deadline=None, phases=set(Phase) - {Phase.shrink})
@given(
    st.lists(
        st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 5), st.sampled_from(ERRORS)), min_size=20, max_size=45
    )
)
def test_nothing_of_a_halted_key_runs_out_of_order_and_what_is_left_of_it_lets_it_go_on(
    happenings: list[tuple[str, int, Exception | None]],
) -> None:
    world = World()
    for each in happenings:
        world.does(*each)
        assert world.wrong == []
    world.ends_well()
    assert world.wrong == []
