"""What travels: records as they are read, messages as they are sent.

Those that are made for every message are named tuples: a frozen dataclass takes three times as long to make.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cqrs.tracing.tracer import Headers

__all__ = ["Headers", "Message", "OutgoingMessage", "Position", "Receipt", "TopicPartition"]


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """Name one partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Position:
    """Say how far a group has come in one partition.

    Attributes:
        offset: Of the next record to read.
        metadata: What the group noted beside it, at most 4,096 bytes; empty for nothing.
    """

    offset: int
    metadata: str = ""


class Message(NamedTuple):
    """Hold one record as it was read from the broker, its bytes untouched.

    Attributes:
        topic: The topic it was read from.
        partition: The partition it was read from.
        offset: Its offset in that partition.
        key: Its key's bytes, or None.
        value: Its value's bytes, or None (a tombstone).
        headers: Its headers in order; names may repeat, values may be None or not UTF-8.
        timestamp_ms: Milliseconds since the epoch.
        timestamp_type: 0 when the producer set the timestamp, 1 when the broker did on append.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = 0
    timestamp_type: int = 0

    @property
    def place(self) -> str:
        """Return where it lies, as people write it: `topic[partition]@offset`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


class OutgoingMessage(NamedTuple):
    """Hold one record to be sent.

    Attributes:
        topic: Where to.
        key: The key's bytes, or None; equal keys go to the same partition.
        value: The value's bytes, or None.
        headers: The headers in order.
        partition: The partition, or None to choose it by the key.
        is_untraced: Whether it is known that no header names a trace, so that none has to be replaced.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    is_untraced: bool = False


class Receipt(NamedTuple):
    """Say where the broker stored a message that it has acknowledged."""

    topic: str
    partition: int
    offset: int
