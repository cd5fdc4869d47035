"""Lanes: records of one key stand in line, and only the first of them is in work.

A lane lives while records stand in it. It is ready when its first record may be taken in hand, at work while somebody
has it there, and waits while that record's next try is due later. Whatever a lane does, other lanes do not notice.
"""

from collections import deque
from enum import Enum
from itertools import chain
from time import monotonic

from cqrs.messaging.delivery import Delivery
from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.watermark import Watermark


class LaneState(Enum):
    """Say what a lane is doing."""

    READY = "ready"
    AT_WORK = "at work"
    WAITING = "waiting"


class Entry:
    """Be one record in a lane.

    Attributes:
        message: The record.
        size: Its bytes: value, key and headers.
        delivery: Its next try, once it had one; None before.
        waits_for: What it waits for, or None.
        outage: The same, when that is away and its partition is not to be read meanwhile; else None.
        read_at: When it was read, in seconds that only grow.
    """

    __slots__ = ("delivery", "message", "outage", "read_at", "size", "waits_for")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.size = _size(message)
        self.delivery: Delivery | None = None
        self.waits_for: str | None = None
        self.outage: str | None = None
        self.read_at = monotonic()


class Lane:
    """Hold the records of one key of one assigned partition, in order.

    Attributes:
        partition: The partition, in one assignment.
        key: The records' key, or None for those without.
        entries: The records; the first one is the one that is in work.
        state: What the lane is doing.
        is_abandoned: Whether its partition went before its record was done.
    """

    __slots__ = ("entries", "is_abandoned", "key", "partition", "state")

    def __init__(self, partition: "AssignedPartition", key: bytes | None) -> None:
        self.partition = partition
        self.key = key
        self.entries: deque[Entry] = deque()
        self.state = LaneState.READY
        self.is_abandoned = False


class AssignedPartition:
    """Be one partition during one assignment: an epoch of its own.

    Work keeps hold of the object that it was read under. When the partition is assigned anew that is another object,
    and so whatever work of the old one has to say is said to nobody: its next owner may have gone on in between.

    Attributes:
        place: The partition.
        epoch: Counts assignments.
        watermark: Which of its records are done.
        lanes: Its lanes, by key.
        buffered: How many of its records stand in lanes.
        buffered_bytes: Their size: values, keys and headers.
        highest_started: The highest offset that was taken in hand; -1 before the first.
        waiting: How many of its lanes wait for another try.
        held: How many of these wait for something that is away.
        is_fenced: Whether it is about to be given back, so that no further record is taken up.
    """

    __slots__ = (
        "buffered",
        "buffered_bytes",
        "epoch",
        "held",
        "highest_started",
        "is_fenced",
        "lanes",
        "place",
        "unsaved",
        "waiting",
        "watermark",
    )

    def __init__(self, place: TopicPartition, epoch: int, watermark: Watermark) -> None:
        self.place = place
        self.epoch = epoch
        self.watermark = watermark
        self.lanes: dict[bytes | None, Lane] = {}
        self.buffered = 0
        self.buffered_bytes = 0
        self.highest_started = -1
        self.waiting = 0
        self.held = 0
        self.is_fenced = False
        self.unsaved = False

    def add(self, message: Message) -> Lane | None:
        """Put a record that was read into its lane, and return the lane if it became ready by that.

        A record that an earlier owner finished is done already, and one that is read when the partition is about to be
        given back is left to its next owner.
        """
        if self.is_fenced:
            return None
        if not self.watermark.start(message.offset):
            self.unsaved = True
            return None
        entry = Entry(message)
        self.buffered += 1
        self.buffered_bytes += entry.size
        lane = self.lanes.get(message.key)
        if lane is not None:
            lane.entries.append(entry)
            return None
        lane = self.lanes[message.key] = Lane(self, message.key)
        lane.entries.append(entry)
        return lane

    def start(self, lane: Lane) -> Entry | None:
        """Take the first record of `lane` in hand; None when none is left there."""
        if not lane.entries:
            return None
        lane.state = LaneState.AT_WORK
        entry = lane.entries[0]
        self.highest_started = max(self.highest_started, entry.message.offset)
        return entry

    def finish(self, lane: Lane) -> bool:
        """Take note that the outcome of the record in hand is durable; say whether more stand in its lane."""
        entry = lane.entries.popleft()
        self.watermark.finish(entry.message.offset)
        self.unsaved = True
        self._removed(entry)
        if lane.entries:
            lane.state = LaneState.READY
            return True
        if self.lanes.get(lane.key) is lane:
            del self.lanes[lane.key]
        return False

    def waiting_lanes(self) -> list[Lane]:
        """Return the lanes that wait for another try."""
        return [lane for lane in self.lanes.values() if lane.state is LaneState.WAITING]

    def fence(self) -> None:
        """Let go of every record that need not be finished before the partition is given back.

        Those below the highest one that was started stay, so that their end closes the gaps beneath it. A record that
        waits for another try stays undone, and so do those behind it.
        """
        self.is_fenced = True
        for lane in list(self.lanes.values()):
            self._shorten(lane)

    def give_up(self) -> None:
        """Leave every record that is not in hand to the partition's next owner: it may begin with them now."""
        self.is_fenced = True
        for lane in list(self.lanes.values()):
            while len(lane.entries) > (lane.state is LaneState.AT_WORK):
                self._removed(lane.entries.pop())
            if not lane.entries:
                del self.lanes[lane.key]

    def abandon(self, lane: Lane) -> None:
        """Leave every record of `lane` to the partition's next owner."""
        while lane.entries:
            self._removed(lane.entries.pop())
        if self.lanes.get(lane.key) is lane:
            del self.lanes[lane.key]

    @property
    def is_at_rest(self) -> bool:
        """Say whether none of its records is in hand or about to be."""
        return not self.lanes

    def _shorten(self, lane: Lane) -> None:
        in_hand = 1 if lane.state is LaneState.AT_WORK else 0
        last = -1 if lane.state is LaneState.WAITING else self.highest_started
        while len(lane.entries) > in_hand and lane.entries[-1].message.offset > last:
            self._removed(lane.entries.pop())
        if not lane.entries:
            del self.lanes[lane.key]

    def _removed(self, entry: Entry) -> None:
        self.buffered -= 1
        self.buffered_bytes -= entry.size


def _size(message: Message) -> int:
    size = len(message.value or b"") + len(message.key or b"")
    try:
        return size + sum(map(len, chain.from_iterable(message.headers)))  # type: ignore[arg-type]  # no null, mostly
    except TypeError:
        return size + sum(len(name) + len(value or b"") for name, value in message.headers)
