"""The history of a run: what was sent, what was seen of it, and so what was lost, duplicated or reordered.

It is told what happened and judges that; it reads no topic and knows no broker, so it serves every test::

    history = History()
    for record in commands:                                    # in the order of each key
        history.sent(message_id(record), record.key, record)
    for event in events:                                       # in the order of each partition
        history.published(caused_by(event), event, event_id(event))
    for letter in letters:
        history.dead_lettered(letter_of(letter), letter)
    history.verdict().require()

What is told is kept in flat arrays: half a million messages take about 100 MB, their ids included, and half as much
again with event ids of 36 characters; they are judged in a second or two.
"""

from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, Protocol, TypeVar

from cqrs.testing.verdict import Finding, Kind, Overtaker, Stage, Verdict

EVIDENCE = 100
"""Findings of each kind that a verdict keeps; all of them are counted."""

_STAGES: tuple[Stage, ...] = ("handled", "published", "dead-lettered")
_HANDLED, _PUBLISHED, _DEAD_LETTERED = range(3)
_NOBODY = -1

H = TypeVar("H", bound=Hashable)


class Place(Protocol):
    """Say where a record lies, as `Message` and `Receipt` do."""

    @property
    def topic(self) -> str:
        """Return the topic."""
        ...

    @property
    def partition(self) -> int:
        """Return the partition."""
        ...

    @property
    def offset(self) -> int:
        """Return the offset in the partition."""
        ...


class History:
    """Gather what was sent and what was seen of it, in any order between the two, and judge it.

    Messages of one key are told in the order in which they were sent. What is seen is told in the order in which it
    lies in its partition, or in which it happened. Ids and keys are anything that a dict takes: text, bytes, numbers.

    - Lost is a message without an outcome.
    - Duplicated is what was seen again in its stage, and a message that has an outcome and is a dead letter too. A
      second event of one message is no duplicate when it has another event id.
    - Reordered is what was seen *for the first time* behind a later message of its key, stage by stage: a crash that
      repeats a run of messages in their order duplicates them, and reorders nothing.

    Args:
        outcome: What settles a message, besides a dead letter: its event, or that its handler ran to its end.
    """

    def __init__(self, outcome: Literal["published", "handled"] = "published") -> None:
        self._settling = 1 << _STAGES.index(outcome) | 1 << _DEAD_LETTERED
        self._messages = _Messages()
        self._sightings = _Sightings()

    def sent(self, message_id: Hashable, key: Hashable, at: Place | None = None) -> None:
        """Note that a message was sent.

        Args:
            message_id: What all sightings of it name.
            key: Messages of one key have an order; the key None is one as well.
            at: Where it was stored.

        Raises:
            ValueError: this id was sent before, so that nothing that is seen could tell the two apart.
        """
        if not self._messages.send(self._messages.number(message_id), key, at):
            raise ValueError(f"the id {message_id!r} was sent before; give each message an id of its own")

    def handled(self, message_id: Hashable, at: Place | None = None) -> None:
        """Note that a message's handler ran; `at` is where that left a trace, when it did."""
        self._sightings.add(_HANDLED, self._messages.number(message_id), at, "")

    def published(self, message_id: Hashable, at: Place | None = None, event_id: Hashable = "") -> None:
        """Note that an event was published that a message caused; events with the same id are one event, repeated."""
        self._sightings.add(_PUBLISHED, self._messages.number(message_id), at, event_id)

    def dead_lettered(self, message_id: Hashable, at: Place | None = None) -> None:
        """Note that a message was put aside."""
        self._sightings.add(_DEAD_LETTERED, self._messages.number(message_id), at, "")

    def verdict(self) -> Verdict:
        """Return what was lost, duplicated and reordered, so far."""
        messages, sightings, settling = self._messages, self._sightings, self._settling
        stages, again = sightings.stages_and_repeats(len(messages.key))
        sent = [message for message, key in enumerate(messages.key) if key != _NOBODY]
        lost = [message for message in sent if not stages[message] & settling]
        twice = [message for message in sent if stages[message] & settling == settling]
        late = _reordered(messages, sightings, again)
        unknown = [sighting for sighting, message in enumerate(sightings.message) if messages.key[message] == _NOBODY]
        evidence = _Evidence(messages, sightings)
        return Verdict(
            sent=len(sent),
            keys=len(messages.keys),
            seen={stage: sightings.stage.count(number) for number, stage in enumerate(_STAGES)},
            lost=len(lost),
            duplicated=sum(again) + len(twice),
            reordered=len(late),
            unknown=len(unknown),
            findings=(
                *evidence.lost(lost[:EVIDENCE]),
                *evidence.repeated(list(islice(_set_in(again), EVIDENCE))),
                *evidence.settled_twice(twice[:EVIDENCE], settling),
                *evidence.reordered(late[:EVIDENCE]),
                *evidence.unknown(unknown[:EVIDENCE]),
            ),
        )


class _Messages:
    """Keep what is known of each message, by its number."""

    def __init__(self) -> None:
        self.ids: dict[Hashable, int] = {}
        self.keys: dict[Hashable, int] = {}
        self.key = array("l")
        self.position = array("l")  # among those of its key, from 1
        self.sent_at = _Places()
        self._of_key = array("l")

    def number(self, message_id: Hashable) -> int:
        """Return the number of a message, which is seen or sent now for the first time, or not."""
        number = self.ids.setdefault(message_id, len(self.ids))
        if number == len(self.key):
            self.key.append(_NOBODY)
            self.position.append(0)
            self.sent_at.add(None)
        return number

    def send(self, number: int, key: Hashable, at: Place | None) -> bool:
        """Note its sending, and say whether that is the first one."""
        if self.key[number] != _NOBODY:
            return False
        key_number = self.keys.setdefault(key, len(self.keys))
        if key_number == len(self._of_key):
            self._of_key.append(0)
        self._of_key[key_number] += 1
        self.key[number], self.position[number] = key_number, self._of_key[key_number]
        self.sent_at[number] = at
        return True


class _Sightings:
    """Keep each time that something was seen of a message, in order."""

    def __init__(self) -> None:
        self.message = array("l")
        self.stage = array("B")
        self.event: list[Hashable] = []  # the ids themselves: different ones may have one hash
        self.seen_at = _Places()

    def add(self, stage: int, message: int, at: Place | None, event_id: Hashable) -> None:
        """Note one."""
        self.message.append(message)
        self.stage.append(stage)
        self.event.append(event_id)
        self.seen_at.add(at)

    def same(self, sighting: int) -> tuple[int, int, Hashable]:
        """Return what equals that of every repeat."""
        return self.message[sighting], self.stage[sighting], self.event[sighting]

    def place(self, sighting: int) -> str:
        """Return where it lies, as people write it."""
        stage = self.stage[sighting]
        return self.seen_at[sighting] or f"#{self.stage[: sighting + 1].count(stage)} {_STAGES[stage]}"

    def stages_and_repeats(self, messages: int) -> tuple[bytearray, bytearray]:
        """Return the stages of each message, as bits, and for each sighting whether the same was seen before."""
        stages, repeated = bytearray(messages), set[int]()
        for message, stage in zip(self.message, self.stage, strict=True):
            bit = 1 << stage
            if stages[message] & bit:
                repeated.add(message)
            stages[message] |= bit
        again, before = bytearray(len(self.message)), set[tuple[int, int, Hashable]]()
        for sighting, message in enumerate(self.message):
            if message in repeated:
                same = self.same(sighting)
                again[sighting] = same in before
                before.add(same)
        return stages, again


class _Places:
    """Keep where records lie, in a few bytes each."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._logs: list[tuple[str, int]] = []
        self._log = array("l")
        self._offset = array("q")

    def add(self, at: Place | None) -> None:
        """Keep one more."""
        self._log.append(_NOBODY)
        self._offset.append(0)
        self[len(self._log) - 1] = at

    def __setitem__(self, index: int, at: Place | None) -> None:
        if at is None:
            return
        log = at.topic, at.partition
        number = self._numbers.setdefault(log, len(self._numbers))
        if number == len(self._logs):
            self._logs.append(log)
        self._log[index], self._offset[index] = number, at.offset

    def __getitem__(self, index: int) -> str | None:
        if self._log[index] == _NOBODY:
            return None
        topic, partition = self._logs[self._log[index]]
        return f"{topic}[{partition}]@{self._offset[index]}"


class _Evidence:
    """Put together what is known of a few messages."""

    def __init__(self, messages: _Messages, sightings: _Sightings) -> None:
        self._messages = messages
        self._sightings = sightings
        self._ids, self._keys = list(messages.ids), list(messages.keys)

    def lost(self, messages: Sequence[int]) -> Iterator[Finding]:
        """Yield each message with whatever was seen of it, which was no outcome."""
        seen = self._gathered(messages, self._sightings.message)
        return (self._finding("lost", message, seen[message]) for message in messages)

    def repeated(self, sightings: Sequence[int]) -> Iterator[Finding]:
        """Yield each thing that was seen again, once, with all times that it was seen."""
        wanted = [self._sightings.same(sighting) for sighting in sightings]
        everything = map(self._sightings.same, range(len(self._sightings.message)))
        for same, all_of_it in self._gathered(wanted, everything).items():
            yield self._finding("duplicated", same[0], all_of_it)

    def settled_twice(self, messages: Sequence[int], settling: int) -> Iterator[Finding]:
        """Yield each message that has an outcome and is a dead letter."""
        seen = self._gathered(messages, self._sightings.message)
        for message in messages:
            outcomes = [each for each in seen[message] if 1 << self._sightings.stage[each] & settling]
            yield self._finding("duplicated", message, outcomes)

    def reordered(self, pairs: Iterable[tuple[int, int]]) -> Iterator[Finding]:
        """Yield each message that was seen too late, with the one that overtook it."""
        for sighting, before in pairs:
            other = self._sightings.message[before]
            behind = Overtaker(self._ids[other], self._messages.position[other], self._sightings.place(before))
            yield self._finding("reordered", self._sightings.message[sighting], [sighting], behind)

    def unknown(self, sightings: Iterable[int]) -> Iterator[Finding]:
        """Yield what was seen of messages that nobody sent."""
        return (self._finding("unknown", self._sightings.message[each], [each]) for each in sightings)

    def _gathered(self, wanted: Iterable[H], everything: Iterable[H]) -> dict[H, list[int]]:
        found: dict[H, list[int]] = {each: [] for each in wanted}
        if found:
            for sighting, each in enumerate(everything):
                if each in found:
                    found[each].append(sighting)
        return found

    def _finding(self, kind: Kind, message: int, sightings: Sequence[int], behind: Overtaker | None = None) -> Finding:
        key = self._messages.key[message]
        return Finding(
            kind,
            self._ids[message],
            None if key == _NOBODY else self._keys[key],
            self._messages.position[message],
            self._messages.sent_at[message],
            tuple(dict.fromkeys(_STAGES[self._sightings.stage[each]] for each in sightings)),
            tuple(self._sightings.place(each) for each in sightings),
            behind,
        )


def _reordered(messages: _Messages, sightings: _Sightings, again: bytearray) -> list[tuple[int, int]]:
    """Return each sighting that came too late, and the one of a later message that came before it."""
    late: list[tuple[int, int]] = []
    latest = [array("l", [_NOBODY]) * len(messages.keys) for _ in _STAGES]  # its sighting, by key
    position, seen = messages.position, sightings.message
    for sighting, (message, stage, repeat) in enumerate(zip(seen, sightings.stage, again, strict=True)):
        key = messages.key[message]
        if repeat or key == _NOBODY:
            continue
        before = latest[stage][key]
        if before != _NOBODY and position[seen[before]] > position[message]:
            late.append((sighting, before))
        else:
            latest[stage][key] = sighting
    return late


def _set_in(flags: bytearray) -> Iterator[int]:
    at = flags.find(1)
    while at >= 0:
        yield at
        at = flags.find(1, at + 1)
