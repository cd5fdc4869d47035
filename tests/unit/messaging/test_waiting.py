"""Lanes that wait come back in order when they are due, or when what they wait for is back: checked by a model."""

from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.lanes import AssignedPartition, Entry, Lane, LaneState
from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.waiting import WaitingLanes
from cqrs.messaging.watermark import Watermark

PARTITION = AssignedPartition(TopicPartition("c", 0), 1, Watermark())


def lane(name: str, waits_for: str | None = None) -> Lane:
    made = Lane(PARTITION, name.encode())
    entry = Entry(Message("c", 0, 0, name.encode(), b""))
    entry.waits_for = waits_for
    made.entries.append(entry)
    return made


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lane_comes_back_when_it_is_due() -> None:
    clock = Clock()
    waiting, first = WaitingLanes(clock), lane("a")
    assert waiting.seconds_until_due() is None
    waiting.put(first, 5.0)
    assert str(first.state) == str(LaneState.WAITING)
    assert (waiting.seconds_until_due(), waiting.take_due()) == (5.0, [])
    clock.now = 5.0
    assert waiting.take_due() == [first]
    assert str(first.state) == str(LaneState.READY)
    assert waiting.seconds_until_due() is None


def test_all_that_wait_for_the_same_thing_come_back_at_once_and_only_once() -> None:
    clock = Clock()
    waiting = WaitingLanes(clock)
    database = [lane("a", "database"), lane("b", "database")]
    others = [lane("c", "registry"), lane("d")]
    for number, each in enumerate([*database, *others]):
        waiting.put(each, number + 1.0)
    assert waiting.take_waiting_for("database") == database
    assert waiting.take_waiting_for("database") == []
    assert waiting.seconds_until_due() == 3.0
    clock.now = 10.0
    assert waiting.take_due() == others


def test_a_lane_that_is_put_again_waits_for_its_new_time() -> None:
    clock = Clock()
    waiting, again = WaitingLanes(clock), lane("a", "database")
    waiting.put(again, 1.0)
    waiting.take_waiting_for("database")
    waiting.put(again, 9.0)
    clock.now = 5.0
    assert waiting.take_due() == []
    clock.now = 9.0
    assert waiting.take_due() == [again]


@given(st.lists(st.tuples(st.sampled_from(["put", "drop", "later"]), st.integers(0, 9), st.floats(0.0, 10.0))))
def test_every_sequence_gives_back_what_a_plain_table_says(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock()
    waiting, lanes = WaitingLanes(clock), [lane(str(number)) for number in range(10)]
    table: dict[int, float] = {}
    for step, number, seconds in steps:
        if step == "put" and number not in table:
            waiting.put(lanes[number], seconds)
            table[number] = clock.now + seconds
        elif step == "drop":
            waiting.drop([lanes[number]])
            table.pop(number, None)
        elif step == "later":
            clock.now += seconds
            due = {number for number, at in table.items() if at <= clock.now}
            taken = waiting.take_due()
            assert {lanes.index(each) for each in taken} == due
            assert [table[lanes.index(each)] for each in taken] == sorted(table[number] for number in due)
            table = {number: at for number, at in table.items() if number not in due}
        assert len(waiting) == len(table)
        next_due = waiting.seconds_until_due()
        assert (next_due is None) == (not table)
        if next_due is not None:
            assert abs(next_due - max(min(table.values()) - clock.now, 0.0)) < 1e-9
