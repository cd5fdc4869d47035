"""How far a partition is done, whatever the order in which its records finish."""

from collections import deque
from collections.abc import Iterable, Iterator


class Watermark:
    """Know how far one partition is done, its records finishing in any order.

    What may be committed is the lowest unfinished offset, never the highest finished one: that one may have unfinished
    records below it, and a crash would lose them. What is finished above it can be noted beside it (`finished_above`),
    so that the partition's next owner does not run it again.

    Offsets may have gaps, which compaction and transaction markers leave: nothing waits for an offset that is not read.

    Args:
        position: The committed offset; None when nothing was committed.
        finished: What an earlier owner finished above it, in any order.

    Raises:
        ValueError: one of the ranges has a step other than 1.
    """

    __slots__ = ("_committed", "_highest", "_open", "_restored", "_unfinished")

    def __init__(self, position: int | None = None, finished: Iterable[range] = ()) -> None:
        self._committed = position
        self._restored = deque(_apart(finished, 0 if position is None else position))
        self._open: deque[int] = deque()  # what was read, from the lowest unfinished offset on
        self._unfinished: set[int] = set()
        self._highest = -1

    def start(self, offset: int) -> bool:
        """Take note that the record at `offset` was read, and say whether it is still to be run.

        False says that an earlier owner finished it: it counts as finished here too.

        Raises:
            ValueError: it is not above every offset that was read before. A reader that goes back needs a new
                watermark: what it reads now may be another record.
        """
        if offset <= self._highest:
            raise ValueError(f"offset {offset} is read after {self._highest}; begin a new watermark to read it again")
        if self._restored and self._was_finished(offset):
            if self._open:
                self._open.append(offset)
            self._highest = offset
            return False
        self._highest = offset
        self._open.append(offset)
        self._unfinished.add(offset)
        return True

    def finish(self, offset: int) -> None:
        """Take note that the record at `offset` is done and its outcome durable.

        Raises:
            ValueError: it was never started, or is finished already.
        """
        unfinished, read = self._unfinished, self._open
        try:
            unfinished.remove(offset)
        except KeyError:
            raise ValueError(f"offset {offset} is not in work: it was never started, or finished before") from None
        if read[0] == offset:
            read.popleft()
            while read and read[0] not in unfinished:
                read.popleft()

    @property
    def position(self) -> int | None:
        """Return the offset that may be committed, or None when nothing was read and nothing committed.

        It is the lowest unfinished offset. When none is unfinished it lies behind the highest one that was read, and
        behind what an earlier owner finished from there on.
        """
        if self._open:
            return self._open[0]
        behind = self._committed if self._highest < 0 else self._highest + 1
        if behind is not None and self._restored and self._restored[0].start <= behind:
            return self._restored[0].stop
        return behind

    @property
    def unfinished(self) -> int:
        """Return how many records are started and not finished."""
        return len(self._unfinished)

    @property
    def lead(self) -> int:
        """Return how many offsets reading is ahead of `position`."""
        return self._highest + 1 - self._open[0] if self._open else 0

    @property
    def highest(self) -> int | None:
        """Return the highest offset that was read, or None before the first."""
        return None if self._highest < 0 else self._highest

    def finished_above(self) -> list[range]:
        """Return what is finished above `position`, ascending and apart from each other.

        A range reaches across offsets at which nothing was read. What an earlier owner finished and is not read yet
        is among them, so that it outlives the next commit. Takes time in proportion to `lead`.
        """
        found: list[range] = []
        for run in (*self._finished_runs(), *self._not_read_yet()):
            if found and found[-1].stop == run.start:
                found[-1] = range(found[-1].start, run.stop)
            else:
                found.append(run)
        return found

    def _finished_runs(self) -> Iterator[range]:
        unfinished = self._unfinished
        first = last = -1
        for offset in self._open:
            if offset not in unfinished:
                first, last = offset if first < 0 else first, offset
            elif first >= 0:
                yield range(first, last + 1)
                first = -1
        if first >= 0:
            yield range(first, last + 1)

    def _not_read_yet(self) -> Iterator[range]:
        # With records in work `position` lies below them; without any it may lie behind the first of these.
        begin = self._highest + 1 if self._open else self.position or 0
        for each in self._restored:
            if each.stop > begin:
                yield range(max(each.start, begin), each.stop)

    def _was_finished(self, offset: int) -> bool:
        if self._highest < 0 and self._committed is not None and offset < self._committed:
            self._restored.clear()  # reading began below what was committed: that spoke of another log
        while self._restored and self._restored[0].stop <= offset:
            self._restored.popleft()
        return bool(self._restored) and self._restored[0].start <= offset


def _apart(ranges: Iterable[range], begin: int) -> list[range]:
    """Return those of `ranges` that end above `begin`, ascending, with those that overlap or touch made one."""
    found: list[range] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if each.step != 1:
            raise ValueError(f"{each} has a step of {each.step}; offsets are finished one by one")
        if not each or each.stop <= begin:
            continue
        if found and each.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return found
