"""What became of each command, as the records tell that were read from outside."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.messaging.dead_letter_headers import ORIGINAL_OFFSET, ORIGINAL_PARTITION, ORIGINAL_TOPIC
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message

DEAD_LETTER_SUFFIX = "-dlt"
"""What tells a dead letter topic's name, unless a service chose another."""


@dataclass(frozen=True, slots=True)
class Received:
    """Hold one record with what was read from its value.

    Attributes:
        message: The record, its bytes untouched.
        value: What the value says: a dict of an Avro record or JSON object; None for a dead letter, or when unreadable.
        problem: Why the value could not be read, or None.
    """

    message: Message
    value: object = None
    problem: str | None = None

    @property
    def type_name(self) -> str | None:
        """Return the type that its headers declare, or None."""
        return read_envelope(self.message).type


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what became of one command, as the topics tell.

    Attributes:
        message_id: The command's id.
        events: The events that it caused.
        dead_letter: The record that it became when it was refused, or None.
    """

    message_id: str
    events: tuple[Received, ...] = ()
    dead_letter: Message | None = None

    @property
    def is_known(self) -> bool:
        """Say whether anything was seen of it."""
        return bool(self.events) or self.dead_letter is not None


class OutcomeIndex:
    """Keep records by the command that they tell of: each is looked at once, however many commands are asked for.

    Args:
        dead_letter_suffix: What tells a dead letter topic's name.
    """

    def __init__(self, dead_letter_suffix: str = DEAD_LETTER_SUFFIX) -> None:
        self._suffix = dead_letter_suffix
        self._events: defaultdict[str, list[Received]] = defaultdict(list)
        self._letters: dict[str, Message] = {}
        self._taken = 0

    def take(self, received: Sequence[Received]) -> set[str]:
        """Take what a growing list holds beyond what was taken of it before, and return the commands it tells of."""
        told: set[str] = set()
        for each in received[self._taken :]:
            cause = caused_by(each.message)
            if cause is not None:
                self._events[cause].append(each)
                told.add(cause)
            if each.message.topic.endswith(self._suffix):
                refused = letter_of(each.message)
                self._letters[refused] = each.message
                told.add(refused)
        self._taken = len(received)
        return told

    def of(self, message_id: str) -> Outcome:
        """Return what became of one command by what was taken."""
        return Outcome(message_id, tuple(self._events.get(message_id, ())), self._letters.get(message_id))


def outcomes_of(
    message_ids: Sequence[str], received: Sequence[Received], dead_letter_suffix: str = DEAD_LETTER_SUFFIX
) -> list[Outcome]:
    """Tell from what was received what became of each command."""
    index = OutcomeIndex(dead_letter_suffix)
    index.take(received)
    return [index.of(message_id) for message_id in message_ids]


def caused_by(message: Message) -> str | None:
    """Return the id of the message that caused this one, or None."""
    return read_envelope(message).causation_id


def letter_of(message: Message) -> str:
    """Return the id of the message that became this dead letter; one that brought no id is known by its place."""
    headers = dict(message.headers)
    partition, offset = headers.get(ORIGINAL_PARTITION), headers.get(ORIGINAL_OFFSET)
    origin = Message(
        (headers.get(ORIGINAL_TOPIC) or b"").decode(errors="replace"),
        int.from_bytes(partition or b"", "big", signed=True),
        int.from_bytes(offset or b"", "big", signed=True),
        None,
        None,
        message.headers,
    )
    return read_envelope(origin).id
