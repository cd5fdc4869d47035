"""How far each assigned partition has come: what may be committed, and whose word still counts."""

from collections.abc import Iterable, Mapping

from cqrs.messaging.commit_note import CommitNote, read_note, write_note
from cqrs.messaging.halting import HaltedKeys
from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.watermark import Watermark


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
            self.halted.assign(place, note.halted, note.stopped)

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
        finished = tuple(partition.watermark.finished_above())
        note = CommitNote(finished, self.halted.of(partition.place), self.halted.stopped(partition.place))
        return Position(offset, write_note(offset, note))
