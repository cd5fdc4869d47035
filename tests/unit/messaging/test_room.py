"""What is read ahead is bounded, and no partition takes the room of another one."""

import pytest

from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.room import Limits, room_for_more
from cqrs.messaging.watermark import Watermark

LIMITS = Limits(buffer=100, buffer_bytes=1_000, max_lead=50, max_poll_records=40)


def partition(number: int, records: int = 0, *, size: int = 1, **state: object) -> AssignedPartition:
    made = AssignedPartition(TopicPartition("c", number), 1, Watermark())
    for offset in range(records):
        made.add(Message("c", number, offset, b"k", b"x" * size))
    for name, value in state.items():
        setattr(made, name, value)
    return made


def wanted(*partitions: AssignedPartition, limits: Limits = LIMITS) -> set[int]:
    room = room_for_more(partitions, limits)
    return (
        {each.place.partition for each in partitions}
        if room.partitions is None
        else {each.partition for each in room.partitions}
    )


def test_before_an_assignment_everything_is_wanted() -> None:
    room = room_for_more([], LIMITS)
    assert (room.partitions, room.records) == (None, 40)


def test_an_empty_buffer_takes_from_all() -> None:
    assert room_for_more([partition(0), partition(1)], LIMITS).partitions is None


def test_one_partition_may_fill_the_buffer_while_its_records_flow_and_the_others_keep_their_share() -> None:
    limits = Limits(buffer=100, max_lead=1_000)
    assert wanted(partition(0, 99), partition(1), limits=limits) == {0, 1}
    room = room_for_more([partition(0, 100), partition(1)], limits)
    assert room.partitions == (TopicPartition("c", 1),)
    assert room.is_short, "the full one may have room at any moment"


@pytest.mark.parametrize("state", [{"held": 1}, {"is_fenced": True}])
def test_one_that_waits_for_an_outage_or_is_about_to_go_is_not_read(state: dict[str, int]) -> None:
    assert wanted(partition(0, 0, size=1, **state), partition(1)) == {1}


def test_one_with_records_that_wait_for_another_try_may_hold_its_share_only() -> None:
    assert wanted(partition(0, 49, waiting=1), partition(1)) == {0, 1}
    limits = Limits(buffer=100, max_lead=1_000)
    assert wanted(partition(0, 50, waiting=1), partition(1), limits=limits) == {1}


def test_reading_does_not_run_too_far_ahead_of_the_lowest_unfinished_record() -> None:
    assert wanted(partition(0, 49), partition(1)) == {0, 1}
    assert wanted(partition(0, 50), partition(1)) == {1}


def test_large_records_count_by_their_size_and_one_always_fits() -> None:
    assert wanted(partition(0, 2, size=600), partition(1)) == {1}
    assert wanted(partition(0, 1, size=5_000), partition(1, 1, size=5_000)) == set()
    assert wanted(partition(0, 1, size=5_000), partition(1)) == {1}


def test_a_poll_takes_no_more_than_fits() -> None:
    limits = Limits(buffer=100, max_lead=1_000, max_poll_records=500)
    assert room_for_more([partition(0, 90)], limits).records == 100, "its share is the whole buffer"
    assert room_for_more([partition(0, 90), partition(1)], limits).records == 50
