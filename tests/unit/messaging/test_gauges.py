from collections.abc import Mapping

import pytest

from cqrs.messaging import gauges
from cqrs.messaging.gauges import Standing, breaker_readings, member_readings, oldest_of
from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.ports import LogEnd
from cqrs.messaging.room import Limits
from cqrs.messaging.watermark import Watermark

NOW_MS = 1_700_000_100_000
PLACE = TopicPartition("orders", 0)


def message(offset: int, *, key: bytes | None = None, age_seconds: float = 0) -> Message:
    return Message("orders", 0, offset, key, b"v", timestamp_ms=int(NOW_MS - age_seconds * 1000))


def partition(*messages: Message, committed: int = 0) -> AssignedPartition:
    found = AssignedPartition(PLACE, 1, Watermark(committed))
    for each in messages:
        found.add(each)
    return found


def readings(
    *partitions: AssignedPartition,
    ends: Mapping[TopicPartition, LogEnd] | None = None,
    limits: Limits | None = None,
    held: Mapping[str, int] | None = None,
    since: float | None = None,
    now: float = 0.0,
) -> dict[str, float]:
    standing = Standing(partitions, limits or Limits(), 2, 1, held or {}, since, 3, ends or {})
    found = list(member_readings("g", standing, monotonic=lambda: now, wall=lambda: NOW_MS / 1000))
    assert all(len(each.labels) == len(gauges.GAUGES[each.name][0]) for each in found)
    return {each.name + "".join(f" {label}" for label in each.labels[1:]): each.value for each in found}


def test_what_the_member_holds_is_counted() -> None:
    found = readings(partition(message(5), message(6)), held={"database": 4})

    assert found[gauges.ASSIGNED] == 1
    assert found[gauges.IN_FLIGHT] == 2
    assert found[gauges.BUFFERED] == 2
    assert found[gauges.WAITING] == 1
    assert found[gauges.REBALANCES] == 3
    assert found[f"{gauges.HELD_FOR} database"] == 4


def test_without_partitions_there_is_nothing_to_be_behind() -> None:
    found = readings()

    assert found[gauges.ASSIGNED] == found[gauges.PAUSED] == found[gauges.OLDEST] == 0
    assert not [name for name in found if name.startswith(gauges.LAG_RECORDS)]


def test_the_lag_reaches_from_the_lowest_unfinished_record_to_the_end() -> None:
    held = partition(message(5, key=b"a", age_seconds=30), message(6, key=b"b", age_seconds=10), committed=5)
    lane = held.lanes[b"b"]
    held.start(lane)
    held.finish(lane)

    found = readings(held, ends={PLACE: LogEnd(end=20, position=7)})

    assert found[f"{gauges.LAG_RECORDS} orders 0"] == 15
    assert found[f"{gauges.LAG_SECONDS} orders 0"] == 30


def test_with_all_done_the_lag_is_what_the_client_has_not_read_yet() -> None:
    behind = readings(partition(committed=5), ends={PLACE: LogEnd(end=9, position=5)})
    assert behind[f"{gauges.LAG_RECORDS} orders 0"] == 4
    assert f"{gauges.LAG_SECONDS} orders 0" not in behind, "nobody knows how old what was not read is"

    # A transaction leaves a marker at offset 5, which the client has stepped over.
    done = readings(partition(committed=5), ends={PLACE: LogEnd(end=6, position=6)})
    assert done[f"{gauges.LAG_RECORDS} orders 0"] == done[f"{gauges.LAG_SECONDS} orders 0"] == 0


def test_before_the_first_fetch_nothing_is_claimed() -> None:
    assert not [name for name in readings(partition(message(5))) if "lag" in name]


def test_a_clock_that_runs_ahead_makes_no_lag_below_zero() -> None:
    found = readings(partition(message(5, age_seconds=-60)), ends={PLACE: LogEnd(6, 6)})

    assert found[f"{gauges.LAG_SECONDS} orders 0"] == 0


def test_the_oldest_unfinished_record_counts_from_its_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((100.0, 130.0))
    monkeypatch.setattr("cqrs.messaging.lanes.monotonic", lambda: next(times))
    held = partition(message(5, key=b"a"), message(6, key=b"b"))

    assert readings(held, now=190.0)[gauges.OLDEST] == 90
    lane = held.lanes[b"a"]
    held.start(lane)
    held.finish(lane)
    assert readings(held, now=190.0)[gauges.OLDEST] == 60


def test_the_age_of_the_commit_is_that_of_what_waits_for_it() -> None:
    assert readings(since=None, now=100.0)[gauges.COMMIT_AGE] == 0
    assert readings(since=40.0, now=100.0)[gauges.COMMIT_AGE] == 60


def test_partitions_that_are_not_read_are_paused() -> None:
    full, away = partition(message(1), message(2)), partition(message(3))
    away.held = 1

    assert readings(full, away)[gauges.PAUSED] == 1
    assert readings(full, away, limits=Limits(buffer=1))[gauges.PAUSED] == 2
    assert readings(full)[gauges.PAUSED] == 0


def test_a_breaker_is_in_one_state() -> None:
    assert [(each.labels, each.value) for each in breaker_readings("t.Do", "open")] == [
        (("t.Do", "closed"), 0.0),
        (("t.Do", "open"), 1.0),
        (("t.Do", "half_open"), 0.0),
    ]


def test_a_lane_that_empties_while_it_is_read_is_passed_over() -> None:
    held = partition(message(5, key=b"a"), message(6, key=b"b"))
    held.lanes[b"a"].entries.clear()

    entry = oldest_of(held)

    assert entry is not None
    assert entry.message.offset == 6
