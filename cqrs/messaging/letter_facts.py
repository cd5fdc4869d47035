"""What a dead letter says of itself, and which letters somebody means."""

from collections.abc import Mapping
from dataclasses import dataclass

from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message, TopicPartition

_LONGEST_COUNT = 9


@dataclass(frozen=True, slots=True)
class Origin:
    """Say where a letter's record lay when it failed first."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return it as records are printed."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """Hold what a dead letter says of itself, without its value.

    Attributes:
        place: The partition of the dead letter topic in which it lies.
        offset: Its offset there.
        key: Its key, or None.
        id: The message id.
        type: The declared type, or None.
        timestamp_ms: When it was put aside.
        origin: Where its record lay, or None when it does not say.
        group: The consumer group that put it aside; empty when it does not say.
        exception: The class of what was raised, with its module; empty when it does not say.
        cause: The class of the root cause; empty when there was none.
        count: How often it was sent back and run.
        is_halted: Whether its key was halted by it, or before it.
        is_follower: Whether it was put aside unrun, because its key was halted before it.
        is_reference: Whether its value was too large for the dead letter topic.
    """

    place: TopicPartition
    offset: int
    key: bytes | None
    id: str
    type: str | None
    timestamp_ms: int
    origin: Origin | None
    group: str
    exception: str
    cause: str
    count: int
    is_halted: bool
    is_follower: bool
    is_reference: bool

    def __str__(self) -> str:
        """Return where it lies, as records are printed."""
        return f"{self.place.topic}[{self.place.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Choose letters; what is empty or None chooses all.

    Attributes:
        topics: Dead letter topics, or the topics that their records came from.
        partitions: Of the dead letter topic.
        offsets: Of the dead letter topic.
        places: Single letters.
        keys: Of the records.
        ids: Message ids.
        types: Declared types.
        errors: Classes of what was raised or of its cause, with or without their module.
        before_ms: Put aside before this moment, in milliseconds since the epoch.
        after_ms: Put aside at or after this moment.
    """

    topics: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    offsets: frozenset[int] = frozenset()
    places: frozenset[tuple[TopicPartition, int]] = frozenset()
    keys: frozenset[bytes] = frozenset()
    ids: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()
    before_ms: int | None = None
    after_ms: int | None = None

    @property
    def chooses_all(self) -> bool:
        """Say whether nothing narrows it."""
        return self == Selection()

    def chooses(self, letter: LetterFacts) -> bool:
        """Say whether `letter` is meant."""
        return self._by_place(letter) and self._by_content(letter) and self._by_time(letter.timestamp_ms)

    def _by_place(self, letter: LetterFacts) -> bool:
        source = letter.origin.topic if letter.origin else ""
        return (
            (not self.topics or letter.place.topic in self.topics or source in self.topics)
            and (not self.partitions or letter.place.partition in self.partitions)
            and (not self.offsets or letter.offset in self.offsets)
            and (not self.places or (letter.place, letter.offset) in self.places)
        )

    def _by_content(self, letter: LetterFacts) -> bool:
        return (
            (not self.keys or letter.key in self.keys)
            and (not self.ids or letter.id in self.ids)
            and (not self.types or letter.type in self.types)
            and (not self.errors or not self.errors.isdisjoint(_class_names(letter)))
        )

    def _by_time(self, timestamp_ms: int) -> bool:
        before, after = self.before_ms, self.after_ms
        return (before is None or timestamp_ms < before) and (after is None or timestamp_ms >= after)


def read_facts(letter: Message) -> LetterFacts:
    """Read what `letter` says of itself; never fails, whatever the bytes."""
    headers = {name: value for name, value in letter.headers if value is not None}
    envelope = read_envelope(letter)
    is_follower = headers.get(names.HALTED_KEY) == b"follower"
    return LetterFacts(
        TopicPartition(letter.topic, letter.partition),
        letter.offset,
        letter.key,
        envelope.id,
        envelope.type,
        letter.timestamp_ms,
        _origin(headers),
        _text(headers, names.ORIGINAL_CONSUMER_GROUP),
        _text(headers, names.EXCEPTION_FQCN),
        _text(headers, names.EXCEPTION_CAUSE_FQCN),
        max(_count(headers.get(names.REDRIVE_COUNT, b"")) - is_follower, 0),
        bool(headers.get(names.HALTED_KEY)),
        is_follower,
        names.OMITTED_VALUE in headers,
    )


def _class_names(letter: LetterFacts) -> set[str]:
    full = {each for each in (letter.exception, letter.cause) if each}
    return full | {each.rpartition(".")[2] for each in full}


def _origin(headers: Mapping[str, bytes]) -> Origin | None:
    topic = _text(headers, names.ORIGINAL_TOPIC)
    partition, offset = headers.get(names.ORIGINAL_PARTITION, b""), headers.get(names.ORIGINAL_OFFSET, b"")
    if not topic or len(partition) != 4 or len(offset) != 8:
        return None
    return Origin(topic, int.from_bytes(partition, "big", signed=True), int.from_bytes(offset, "big", signed=True))


def _count(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) <= _LONGEST_COUNT else 0


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode(errors="replace")
