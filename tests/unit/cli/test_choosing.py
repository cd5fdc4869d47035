"""Letters are chosen on the command line by place, content and age; what cannot be read is told, all at once."""

import time

import pytest

from cqrs.cli.choosing import Choice, selection_of
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.message import TopicPartition


def test_nothing_chooses_all() -> None:
    assert selection_of(Choice()).chooses_all


def test_every_option_is_read() -> None:
    found = selection_of(
        Choice(["cmd-dlt:1:3"], ["cmd"], [1], [3], ["k", "0xff", "0xk"], ["i"], ["t.Do"], ["Busy"], "1970-01-01T00:01Z")
    )

    assert found.places == {(TopicPartition("cmd-dlt", 1), 3)}
    assert (found.topics, found.partitions, found.offsets) == (frozenset({"cmd"}), frozenset({1}), frozenset({3}))
    assert found.keys == {b"k", b"0xff", b"\xff", b"0xk"}
    assert (found.ids, found.types, found.errors) == (frozenset({"i"}), frozenset({"t.Do"}), frozenset({"Busy"}))
    assert (found.before_ms, found.after_ms) == (60_000, None)


@pytest.mark.parametrize(("age", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("7 d", 604_800)])
def test_an_age_counts_back_from_now(age: str, seconds: int) -> None:
    before = time.time() * 1000
    found = selection_of(Choice(newer=age))

    assert found.after_ms is not None
    assert before - 1 <= found.after_ms + seconds * 1000 <= time.time() * 1000


def test_what_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ConfigurationException) as refused:
        selection_of(Choice(at=["nonsense"], older="soon", newer=f"{'9' * 20}d"))

    assert [each.split(":")[0] for each in refused.value.problems] == [
        "--at 'nonsense' names no record; write topic",
        "--older 'soon'",
        f"--newer '{'9' * 20}d'",
    ]
