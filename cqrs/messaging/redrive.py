"""Which dead letters go back to the topic they came from, in which order, and as what.

Nothing here talks to a broker. Letters of one key leave in the order in which their records lay in the source. Those of
a halted key belong together: one that has to stay keeps those behind it, and the last one releases the key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.dead_letters import replaced
from cqrs.messaging.letter_facts import LetterFacts, Origin, Selection
from cqrs.messaging.message import Headers, Message, OutgoingMessage, TopicPartition
from cqrs.messaging.retry_topics import ATTEMPTS, BACKOFF_TIMESTAMP

LIMIT = 3
"""How often a letter is sent back before it is parked, unless told otherwise."""

Lane: TypeAlias = tuple[TopicPartition, str, int, bytes | None]
"""What has to stay in order: the letters' partition, the source's topic and partition, the key."""

Fate = Literal["send", "park", "leave"]
"""What becomes of a chosen letter: it is sent, it was sent too often, or it cannot be sent."""

_BACK = "it failed again: mend the reason, then redrive it"
_BEHIND = "its key is halted again by one that failed again"
_OWN = frozenset(
    {
        names.REDRIVE_COUNT,
        names.REDRIVE_RELEASE,
        names.REDRIVE_SEEN,
        names.REDRIVE_TRACEPARENT,
        names.HALTED_KEY,
        names.OMITTED_VALUE,
        ATTEMPTS,
        BACKOFF_TIMESTAMP,
        "traceparent",
        "tracestate",
    }
)


@dataclass(frozen=True, slots=True)
class RedriveRules:
    """Hold what bounds a redrive.

    Attributes:
        source_of: Returns the command topic of a retry topic; of any other topic, itself.
        letters_of: Returns the dead letter topic of a command topic.
        partitions: The topics that there are, with their partition counts.
        limit: How often a letter is sent back before it is parked.
    """

    source_of: Callable[[str], str]
    letters_of: Callable[[str], str]
    partitions: Mapping[str, int]
    limit: int = LIMIT


@dataclass(frozen=True, slots=True)
class Decision:
    """Say what becomes of one letter.

    Attributes:
        letter: The letter.
        fate: What becomes of it.
        topic: Where it goes; empty when that is not known.
        partition: Its partition there; None when that is chosen by the key.
        reason: Why it is not sent, or empty.
        is_drawn_in: Whether it was not chosen itself, and goes with another letter of its key.
        releases: Whether it is the last one of a halted key, which goes on behind it.
    """

    letter: LetterFacts
    fate: Fate
    topic: str = ""
    partition: int | None = None
    reason: str = ""
    is_drawn_in: bool = False
    releases: bool = False

    @property
    def lane(self) -> Lane:
        """Return what it has to stay in order with."""
        return lane_of(self.letter, self.topic)


@dataclass(slots=True)
class Plan:
    """Hold what becomes of each chosen letter.

    Attributes:
        decisions: By partition, and in each lane in the order in which the records lay in the source.
        halted: The lanes whose key is halted.
    """

    decisions: list[Decision] = field(default_factory=list)
    halted: frozenset[Lane] = frozenset()

    @property
    def sent(self) -> list[Decision]:
        """Return what is sent."""
        return [each for each in self.decisions if each.fate == "send"]


def lane_of(letter: LetterFacts, source: str) -> Lane:
    """Return what `letter` has to stay in order with when it goes back to the topic `source`."""
    return letter.place, source, letter.origin.partition if letter.origin else letter.place.partition, letter.key


def plan_redrive(
    letters: Iterable[LetterFacts], selection: Selection, rules: RedriveRules, halted: frozenset[Lane] = frozenset()
) -> Plan:
    """Decide what becomes of the chosen ones of the outstanding `letters`.

    Of a halted key one chosen letter brings all others that were put aside for it, and the last one that is sent
    releases it, unless one of them has to stay.

    Args:
        letters: Every outstanding letter.
        selection: Which ones are meant.
        rules: What bounds it.
        halted: Lanes that are known to be halted beside those whose letters say so.
    """
    lanes: dict[Lane, list[Decision]] = {}
    for letter in letters:
        decision = _judged(letter, rules)
        lanes.setdefault(decision.lane, []).append(decision)
    still = halted | {lane for lane, decisions in lanes.items() if any(each.letter.is_halted for each in decisions)}
    found = Plan(halted=still & lanes.keys())
    for lane, decisions in lanes.items():
        found.decisions += _together(_chosen(decisions, selection, lane in still), lane in still)
    found.decisions.sort(key=lambda each: (each.letter.place.topic, each.letter.place.partition))
    return found


@dataclass(frozen=True, slots=True)
class Late:
    """Hold what becomes of letters that came while keys were released.

    Attributes:
        plan: What becomes of those that go behind the release.
        kept: What came back of what was sent, and what waits for that.
        again: The lanes whose key is halted again.
    """

    plan: Plan
    kept: list[Decision]
    again: frozenset[Lane]


def plan_late(letters: Sequence[LetterFacts], lanes: frozenset[Lane], sent: Set[Origin], rules: RedriveRules) -> Late:
    """Decide what becomes of letters that came while keys were released.

    Of a key that one of those sent has halted again, all stay. One that failed in another way stays alone: its key goes
    on without it, as with any other record.

    Args:
        letters: What came since the last look.
        lanes: Those whose release was sent.
        sent: Where the records lay that were sent.
        rules: What bounds it.
    """
    came = [each for each in plan_redrive(letters, Selection(), rules, lanes).decisions if each.lane in lanes]
    again = frozenset(each.lane for each in came if each.letter.origin in sent and each.letter.is_halted)
    kept = [
        Decision(each.letter, "leave", each.topic, each.partition, _BEHIND if each.letter.is_follower else _BACK)
        for each in came
        if each.lane in again or each.letter.origin in sent
    ]
    staying = {each.letter for each in kept}
    plan = plan_redrive([each for each in letters if each not in staying], Selection(), rules, lanes)
    plan.decisions = [each for each in plan.decisions if each.lane in lanes]
    return Late(plan, kept, again)


def redriven(decision: Decision, letter: Message, original: Message | None = None, *, seen: int = 0) -> OutgoingMessage:
    """Return what is sent for a letter: its key, value and ids as they were, and the word on its first failure kept.

    The trace in which it failed is named, to be linked, and not continued.

    Args:
        decision: That it is sent, and where to.
        letter: The letter.
        original: The record itself, when the letter is only a reference to it.
        seen: Up to which offset of the letter's partition it was decided: what was put aside later nobody knew of.
    """
    told = dict(letter.headers)
    added = {name: value for name, value in told.items() if name.startswith(names.PREFIX) and value is not None}
    added[names.REDRIVE_COUNT] = str(decision.letter.count + 1).encode()
    added[names.REDRIVE_SEEN] = str(seen).encode()
    if decision.releases:
        added[names.REDRIVE_RELEASE] = b"1"
    record = original or letter
    if (failed := _traceparent(letter.headers) or _traceparent(record.headers)) is not None:
        added[names.REDRIVE_TRACEPARENT] = failed
    kept = tuple(each for each in record.headers if each[0] not in _OWN and each[0].lower() not in _OWN)
    headers = replaced(kept, added)
    return OutgoingMessage(decision.topic, record.key, record.value, headers, decision.partition)


class InOrder:
    """Let the letters of each lane leave in the planned order, in whatever order they are read.

    Args:
        lanes: The offsets of each lane, in the order in which they are to leave; each offset is in one lane only.
    """

    def __init__(self, lanes: Iterable[Sequence[int]]) -> None:
        self._behind: dict[int, int | None] = {}
        for lane in lanes:
            self._behind |= dict(zip(lane, (*lane[1:], None), strict=False))
        self._heads = self._behind.keys() - self._behind.values()
        self._held: dict[int, Message] = {}

    def arrive(self, message: Message) -> list[Message]:
        """Take `message` in and return what may leave now; nothing for one that is not planned."""
        if message.offset not in self._behind:
            return []
        self._held[message.offset] = message
        return self._leaving(message.offset) if message.offset in self._heads else []

    def rest(self) -> list[Message]:
        """Return what waits for letters that are not there any more, in the planned order."""
        leaving: list[Message] = []
        for head in sorted(self._heads):
            offset: int | None = head
            while offset is not None:
                leaving += [self._held.pop(offset)] if offset in self._held else []
                offset = self._behind.get(offset)
        return leaving

    @property
    def missing(self) -> list[int]:
        """Return the planned offsets that have neither left nor arrived, ascending."""
        return sorted(self._behind.keys() - self._held.keys())

    def _leaving(self, head: int) -> list[Message]:
        """Let go what has arrived of a lane, from `head` on, up to the next one that has not."""
        leaving: list[Message] = []
        self._heads.discard(head)
        offset: int | None = head
        while offset is not None and offset in self._held:
            leaving.append(self._held.pop(offset))
            offset = self._behind.pop(offset)
        if offset is not None:
            self._heads.add(offset)
        return leaving


def _judged(letter: LetterFacts, rules: RedriveRules) -> Decision:
    if letter.origin is None:
        return Decision(letter, "leave", reason="it does not say which topic it came from")
    topic = rules.source_of(letter.origin.topic)
    if rules.letters_of(topic) != letter.place.topic:
        return Decision(letter, "leave", topic, reason=f"it names {topic}, whose dead letters are not kept here")
    count = rules.partitions.get(topic, 0)
    if not count:
        return Decision(letter, "leave", topic, reason=f"topic {topic} does not exist")
    partition = letter.origin.partition if 0 <= letter.origin.partition < count else None
    if letter.count >= rules.limit:
        return Decision(letter, "park", topic, partition, f"sent back {letter.count} times; the limit is {rules.limit}")
    return Decision(letter, "send", topic, partition)


def _chosen(decisions: list[Decision], selection: Selection, is_halted: bool) -> list[Decision]:
    """Return the chosen ones in the source's order; of a halted key also those that belong to them."""
    chosen = [each for each in decisions if selection.chooses(each.letter)]
    if chosen and is_halted:
        meant = {each.letter.offset for each in chosen}
        chosen += [
            replace(each, is_drawn_in=True)
            for each in decisions
            if each.letter.is_halted and each.letter.offset not in meant
        ]
    return sorted(chosen, key=_source_order)


def _together(decisions: list[Decision], is_halted: bool) -> list[Decision]:
    """Keep the order of a halted key: what is behind one that stays, stays too; the last one releases the key."""
    if not is_halted or not decisions:
        return decisions
    for at, each in enumerate(decisions):
        if each.fate != "send":
            word = "which is parked" if each.fate == "park" else "which cannot be sent"
            held = f"its key is halted, and it waits for {each.letter}, {word}: discard that one, or mend it"
            behind = decisions[at + 1 :]
            kept = [replace(one, fate="leave", reason=held) if one.fate == "send" else one for one in behind]
            return [*decisions[: at + 1], *kept]
    return [*decisions[:-1], replace(decisions[-1], releases=True)]


def _source_order(decision: Decision) -> tuple[int, int]:
    letter = decision.letter
    return (letter.origin.offset if letter.origin else -1, letter.offset)


def _traceparent(headers: Headers) -> bytes | None:
    return next((value for name, value in headers if name.lower() == "traceparent" and value), None)
