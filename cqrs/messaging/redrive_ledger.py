"""Which letters of a dead letter partition are settled: redriven, discarded, or not this group's.

It is kept where a group keeps its progress, in the commit of a group of its own: the offset of the first outstanding
letter, and beside it what is settled above (`commit_note`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from cqrs.messaging.commit_note import CommitNote, read_note, write_note
from cqrs.messaging.message import Position


def redrive_group(group_id: str) -> str:
    """Return the consumer group that keeps what is settled of the dead letters of `group_id`."""
    return f"{group_id}.redrive"


class Settled:
    """Know what is settled of one partition, from what was committed for it.

    Args:
        committed: What was committed, or None for nothing.
        end: Where the partition ends now. A commit above it spoke of another log, whose place this one has taken.
    """

    def __init__(self, committed: Position | None, end: int) -> None:
        known = committed if committed is not None and committed.offset <= end else None
        self.position = known.offset if known else 0
        self._above = read_note(known.offset, known.metadata).finished if known else ()
        self._starts = [each.start for each in self._above]

    def holds(self, offset: int) -> bool:
        """Say whether the letter at `offset` is settled."""
        if offset < self.position:
            return True
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset in self._above[at]


class Ledger:
    """Hold the outstanding offsets of one partition, as far as it was read.

    Args:
        outstanding: Their offsets, ascending.
        end: Where reading ended: everything below is outstanding or settled.
    """

    def __init__(self, outstanding: Iterable[int] = (), end: int = 0) -> None:
        self._end = end
        self._runs: list[range] = []
        for offset in outstanding:
            self._extend(offset)

    def add(self, outstanding: Iterable[int], end: int) -> "Ledger":
        """Return the ledger after reading on to `end`, which found these offsets outstanding."""
        grown = Ledger(end=end)
        grown._runs = list(self._runs)
        for offset in outstanding:
            grown._extend(offset)
        return grown

    def without(self, settled: Iterable[int]) -> "Ledger":
        """Return the ledger in which `settled` are outstanding no longer."""
        gone = sorted(settled)
        left = Ledger(end=self._end)
        at = 0
        for run in self._runs:
            start = run.start
            while at < len(gone) and gone[at] < run.stop:
                if gone[at] >= start:
                    if gone[at] > start:
                        left._runs.append(range(start, gone[at]))
                    start = gone[at] + 1
                at += 1
            if start < run.stop:
                left._runs.append(range(start, run.stop))
        return left

    @property
    def outstanding(self) -> Iterator[int]:
        """Yield the outstanding offsets, ascending."""
        for run in self._runs:
            yield from run

    @property
    def position(self) -> Position:
        """Return what to commit. A note that has no room for all leaves the highest out; see `fits`."""
        offset = self._offset
        return Position(offset, write_note(offset, CommitNote(self._settled_above())))

    @property
    def fits(self) -> bool:
        """Say whether `position` notes all that is settled: what it left out would be sent again."""
        position = self.position
        return read_note(position.offset, position.metadata).finished == self._settled_above()

    @property
    def _offset(self) -> int:
        return self._runs[0].start if self._runs else self._end

    def _settled_above(self) -> tuple[range, ...]:
        stops = [run.stop for run in self._runs]
        starts = [*(run.start for run in self._runs[1:]), self._end]
        return tuple(range(stop, start) for stop, start in zip(stops, starts, strict=False) if start > stop)

    def _extend(self, offset: int) -> None:
        if self._runs and self._runs[-1].stop == offset:
            self._runs[-1] = range(self._runs[-1].start, offset + 1)
        else:
            self._runs.append(range(offset, offset + 1))
