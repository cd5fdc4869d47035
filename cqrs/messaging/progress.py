"""How far each assigned partition has come: what may be committed, and whose word still counts."""

from collections.abc import Iterable, Mapping

from cqrs.messaging.commit_note import CommitNote, read_note, write_note
from cqrs.messaging.halting import HaltedKeys
from cqrs.messaging.lanes import Entry, Lane, LaneState
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.watermark import Watermark


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
        buffered_bytes: The size of their values.
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
        self.buffered += 1
        self.buffered_bytes += len(message.value or b"")
        lane = self.lanes.get(message.key)
        if lane is not None:
            lane.entries.append(Entry(message))
            return None
        lane = self.lanes[message.key] = Lane(self, message.key)
        lane.entries.append(Entry(message))
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
        self.buffered_bytes -= len(entry.message.value or b"")


class Progress:
    """Keep the partitions of the current assignment.

    Args:
        halted: Which keys are halted; they travel with the commits.
    """

    def __init__(self, halted: HaltedKeys | None = None) -> None:
        self.halted = halted or HaltedKeys()
        self._last_epoch = 0
        self._partitions: dict[tuple[str, int], AssignedPartition] = {}

    @property
    def partitions(self) -> Iterable[AssignedPartition]:
        """Return the assigned partitions."""
        return self._partitions.values()

    def assign(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Begin a new epoch for each of these partitions, at what was committed for it."""
        self._last_epoch += 1
        for place, position in committed.items():
            note = CommitNote() if position is None else read_note(position.offset, position.metadata)
            watermark = Watermark(None if position is None else position.offset, note.finished)
            self._partitions[place.topic, place.partition] = AssignedPartition(place, self._last_epoch, watermark)
            self.halted.assign(place, note.halted)

    def begin_again(self, partition: AssignedPartition) -> AssignedPartition:
        """Begin a new epoch for a partition whose log was cut: what was read of it before says nothing any more."""
        self._last_epoch += 1
        place = partition.place
        begun = self._partitions[place.topic, place.partition] = AssignedPartition(place, self._last_epoch, Watermark())
        return begun

    def revoke(self, places: Iterable[TopicPartition]) -> None:
        """End the epoch of each of these partitions."""
        for place in places:
            self._partitions.pop((place.topic, place.partition), None)
            self.halted.revoke(place)

    def of(self, message: Message) -> AssignedPartition | None:
        """Return the partition that `message` was read from, or None when it is not assigned."""
        return self._partitions.get((message.topic, message.partition))

    def chosen(self, places: Iterable[TopicPartition]) -> list[AssignedPartition]:
        """Return those of `places` that are assigned."""
        found = (self._partitions.get((place.topic, place.partition)) for place in places)
        return [each for each in found if each is not None]

    def uncommitted(self) -> dict[AssignedPartition, Position]:
        """Return the position of each partition that has come further since its last commit."""
        return {each: self._position(each) for each in self._partitions.values() if each.unsaved}

    def _position(self, partition: AssignedPartition) -> Position:
        offset = partition.watermark.position or 0
        note = CommitNote(tuple(partition.watermark.finished_above()), self.halted.of(partition.place))
        return Position(offset, write_note(offset, note))
