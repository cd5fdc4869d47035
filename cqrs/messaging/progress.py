"""How far each assigned partition has come: what may be committed, and whose word still counts."""

from collections.abc import Iterable

from cqrs.messaging.message import Message, TopicPartition


class Progress:
    """Keep, for each partition of the current assignment, its epoch and the offset that may be committed.

    Every assignment of a partition is a new epoch. Work that was read in an earlier epoch neither starts nor counts:
    another member may have gone on from the committed offset in between.
    """

    def __init__(self) -> None:
        self._last_epoch = 0
        self._epochs: dict[TopicPartition, int] = {}
        self._fenced: set[TopicPartition] = set()
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin a new epoch for each of `partitions`."""
        self._last_epoch += 1
        for partition in partitions:
            self._forget(partition)
            self._epochs[partition] = self._last_epoch

    def fence(self, partitions: Iterable[TopicPartition]) -> None:
        """Let no more work of `partitions` start; what is in hand may still finish and count."""
        self._fenced.update(partitions)

    def revoke(self, partitions: Iterable[TopicPartition]) -> None:
        """End the epoch of each of `partitions`."""
        for partition in partitions:
            self._forget(partition)

    def epoch(self, partition: TopicPartition) -> int | None:
        """Return the current epoch of `partition`, or None when it is not assigned."""
        return self._epochs.get(partition)

    def may_start(self, partition: TopicPartition, epoch: int | None) -> bool:
        """Say whether work that was read in `epoch` may start now."""
        return epoch is not None and self._epochs.get(partition) == epoch and partition not in self._fenced

    def finish(self, message: Message, epoch: int | None) -> None:
        """Take note that the outcome of `message`, read in `epoch`, is durable; an old epoch's word is dropped."""
        partition = TopicPartition(message.topic, message.partition)
        if epoch is not None and self._epochs.get(partition) == epoch:
            self._done[partition] = message.offset + 1

    def uncommitted(self, partitions: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """Return the next offset to read of each partition whose progress is not committed yet."""
        chosen = self._done.keys() if partitions is None else [each for each in partitions if each in self._done]
        return {each: self._done[each] for each in chosen if self._committed.get(each) != self._done[each]}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """Take note that `offsets` have been committed."""
        self._committed.update({each: offset for each, offset in offsets.items() if each in self._epochs})

    def _forget(self, partition: TopicPartition) -> None:
        self._fenced.discard(partition)
        for kept in (self._epochs, self._done, self._committed):
            kept.pop(partition, None)
