"""The position never passes an unfinished record, and the next owner runs what is unfinished and nothing else."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cqrs.messaging.commit_note import CommitNote, read_note, write_note
from cqrs.messaging.watermark import Watermark

BASE = 100

# A step reads the next record behind a gap, or finishes one of those in work.
steps = st.lists(st.tuples(st.sampled_from(("read", "read", "finish")), st.integers(0, 9)), max_size=60)
restored = st.lists(
    st.builds(lambda at, size: range(BASE + at, BASE + at + size), st.integers(-8, 20), st.integers(0, 6))
)
committed = st.none() | st.just(BASE)


class Model:
    """Keep every offset in plain sets."""

    def __init__(self, position: int | None, finished: list[range]) -> None:
        self.committed = position
        begin = 0 if position is None else position
        self.restored = {offset for each in finished for offset in each if offset >= begin}
        self.read: list[int] = []
        self.done: set[int] = set()

    def start(self, offset: int) -> bool:
        if not self.read and self.committed is not None and offset < self.committed:
            self.restored = set()
        self.read.append(offset)
        if offset in self.restored:
            self.done.add(offset)
        return offset not in self.done

    @property
    def in_work(self) -> list[int]:
        return [offset for offset in self.read if offset not in self.done]

    @property
    def position(self) -> int | None:
        if self.in_work:
            return self.in_work[0]
        behind = self.read[-1] + 1 if self.read else self.committed
        while behind is not None and behind in self.restored:
            behind += 1
        return behind

    def finished_above(self) -> list[range]:
        position, highest = self.position or 0, self.read[-1] if self.read else -1
        finished = sorted(
            {each for each in self.done if each > position}
            | {each for each in self.restored if each > highest and each >= position}
        )
        ranges: list[range] = []
        for offset in finished:
            last = ranges[-1].stop if ranges else -1
            gap_was_read_over = offset <= highest and not any(last <= each < offset for each in self.read)
            if ranges and (offset == last or gap_was_read_over):
                ranges[-1] = range(ranges[-1].start, offset + 1)
            else:
                ranges.append(range(offset, offset + 1))
        return ranges


@settings(max_examples=300)
@given(committed, restored, st.integers(-4, 12), steps)
@example(BASE, [range(BASE - 8, BASE - 5), range(BASE - 2, BASE + 1), range(BASE + 3, BASE + 5)], 0, [])
@example(BASE, [range(BASE - 8, BASE - 5), range(BASE, BASE + 2)], 3, [("read", 0), ("finish", 0)])
def test_it_agrees_with_plain_sets_after_every_step(
    position: int | None, finished: list[range], first: int, script: list[tuple[str, int]]
) -> None:
    watermark, model = Watermark(position, finished), Model(position, finished)
    following = BASE + first
    for step, number in [("look", 0), *script]:
        if step == "read":
            offset = following + max(number - 6, 0)
            assert watermark.start(offset) is model.start(offset)
            following = offset + 1
        elif step == "finish" and model.in_work:
            offset = model.in_work[number % len(model.in_work)]
            watermark.finish(offset)
            model.done.add(offset)

        assert watermark.position == model.position
        assert watermark.unfinished == len(model.in_work)
        assert watermark.highest == (model.read[-1] if model.read else None)
        assert watermark.lead == (max(model.read[-1] + 1 - (model.position or 0), 0) if model.read else 0)
        assert watermark.finished_above() == model.finished_above()


owners = st.lists(st.tuples(st.integers(0, 25), st.randoms(use_true_random=False)), min_size=1, max_size=6)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=80), owners)
def test_over_any_number_of_owners_no_record_is_left_out_and_none_runs_twice(
    gaps: list[int], owners: list[tuple[int, random.Random]]
) -> None:
    log = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    runs: list[int] = []
    position, text = 0, ""
    for count, dice in [*owners, (len(log), random.Random(1))]:
        watermark = Watermark(position, read_note(position, text).finished)
        begin = position
        started = [offset for offset in [each for each in log if each >= begin][:count] if watermark.start(offset)]
        finished = started if count == len(log) else [each for each in started if dice.random() < 0.6]
        dice.shuffle(finished)
        for offset in finished:
            watermark.finish(offset)
        runs += finished
        position = watermark.position or 0
        text = write_note(position, CommitNote(tuple(watermark.finished_above())))

    assert sorted(runs) == log
    assert (position, text) == (log[-1] + 1, "")


@given(st.permutations(range(12)))
def test_in_whatever_order_records_finish_nothing_of_them_is_kept_in_the_end(order: list[int]) -> None:
    watermark = Watermark()
    for offset in range(12):
        watermark.start(offset)
    for offset in order:
        watermark.finish(offset)

    assert (watermark.position, watermark.lead, watermark.unfinished, watermark.finished_above()) == (12, 0, 0, [])
    assert not watermark._open
    assert not watermark._unfinished


def test_nothing_is_known_before_the_first_record() -> None:
    watermark = Watermark()

    assert (watermark.position, watermark.highest, watermark.lead, watermark.unfinished) == (None, None, 0, 0)
    assert watermark.finished_above() == []


def test_the_highest_finished_offset_is_not_the_position() -> None:
    watermark = Watermark(10)
    for offset in (10, 11, 12, 13):
        assert watermark.start(offset)
    for offset in (11, 13):
        watermark.finish(offset)

    assert watermark.position == 10
    assert watermark.lead == 4
    assert watermark.finished_above() == [range(11, 12), range(13, 14)]

    watermark.finish(10)

    assert watermark.position == 12
    assert watermark.finished_above() == [range(13, 14)]


def test_nothing_waits_for_offsets_at_which_no_record_lies() -> None:
    watermark = Watermark(0)
    for offset in (0, 5, 9, 20):
        watermark.start(offset)
    watermark.finish(5)
    watermark.finish(20)
    watermark.finish(9)

    assert watermark.finished_above() == [range(5, 21)]

    watermark.finish(0)

    assert watermark.position == 21


def test_what_an_earlier_owner_finished_is_not_run_and_outlives_the_next_commit() -> None:
    watermark = Watermark(10, [range(12, 14), range(20, 30)])

    assert [watermark.start(offset) for offset in (10, 11, 12, 13, 14)] == [True, True, False, False, True]
    watermark.finish(11)

    assert watermark.position == 10
    assert watermark.finished_above() == [range(11, 14), range(20, 30)]


def test_the_position_passes_what_an_earlier_owner_finished_from_there_on() -> None:
    watermark = Watermark(10, [range(10, 13), range(14, 16)])

    assert watermark.position == 13
    assert not watermark.start(10)
    assert (watermark.position, watermark.lead) == (13, 0)
    assert watermark.finished_above() == [range(14, 16)]


def test_reading_that_begins_below_the_commit_meets_another_log() -> None:
    """The topic was made anew: what was finished of the old one says nothing of its records."""
    watermark = Watermark(100, [range(102, 110)])
    watermark.start(0)
    watermark.finish(0)

    assert watermark.position == 1
    assert watermark.finished_above() == []
    assert watermark.start(105)


@pytest.mark.parametrize("offset", [5, 4, 0, -1])
def test_reading_never_goes_back(offset: int) -> None:
    watermark = Watermark(0)
    watermark.start(5)

    with pytest.raises(ValueError, match=f"offset {offset} is read after 5"):
        watermark.start(offset)
    assert (watermark.highest, watermark.unfinished) == (5, 1)


@pytest.mark.parametrize("offset", [3, 4, 5, 6])
def test_only_what_is_in_work_is_finished(offset: int) -> None:
    """3 was never read, 4 is finished, 5 was finished by an earlier owner, 6 is not read yet."""
    watermark = Watermark(0, [range(5, 6)])
    for each in (2, 4, 5):
        watermark.start(each)
    watermark.finish(4)

    with pytest.raises(ValueError, match=f"offset {offset} is not in work"):
        watermark.finish(offset)
    assert (watermark.position, watermark.unfinished) == (2, 1)


def test_ranges_with_holes_are_refused() -> None:
    with pytest.raises(ValueError, match="step of 2"):
        Watermark(0, [range(5, 10, 2)])
