"""A dead letter is known by its headers, whatever stands in them, and chosen by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.letter_facts import Origin, Selection, read_facts
from cqrs.messaging.message import Message, TopicPartition
from tests.unit.messaging.redrive_letters import facts, letter

_NAMES = st.sampled_from([value for name, value in vars(names).items() if name.isupper()])
_VALUES = st.none() | st.binary(max_size=12)


def test_it_says_what_it_is_why_it_is_here_and_where_it_came_from() -> None:
    found = facts(7, 3, group="shop", halted=b"first", count=2)

    assert (str(found), found.place, found.key) == ("cmd-dlt[0]@7", TopicPartition("cmd-dlt", 0), b"k")
    assert (found.id, found.type, found.group, found.timestamp_ms) == ("id-3", "t.Do", "shop", 7_000)
    assert (found.origin, str(found.origin)) == (Origin("cmd", 0, 3), "cmd[0]@3")
    assert (found.exception, found.cause) == ("shop.BusyException", "builtins.TimeoutError")
    assert (found.count, found.is_halted, found.is_reference) == (2, True, False)


@given(st.lists(st.tuples(_NAMES, _VALUES)))
def test_nothing_in_its_headers_keeps_it_from_being_read(headers: list[tuple[str, bytes | None]]) -> None:
    found = read_facts(Message("cmd-dlt", 0, 1, None, None, tuple(headers)))

    assert found.count >= 0


@pytest.mark.parametrize("count", [b"", b"-1", b"x", b"9" * 10, "²".encode()])
def test_a_count_that_is_none_counts_for_nothing(count: bytes) -> None:
    message = letter(1)
    assert read_facts(Message(*_parts(message), (*message.headers, (names.REDRIVE_COUNT, count)))).count == 0


def test_a_follower_that_was_sent_back_and_not_run_is_not_a_time_nearer_to_being_parked() -> None:
    assert [facts(0, halted=b"follower", count=count).count for count in (0, 1, 3)] == [0, 0, 2]
    assert [facts(0, halted=b"first", count=count).count for count in (0, 1, 3)] == [0, 1, 3]


def test_a_letter_that_was_to_release_its_key_and_halted_it_not_belongs_to_no_halted_key() -> None:
    message = letter(1)
    assert not read_facts(Message(*_parts(message), (*message.headers, (names.REDRIVE_RELEASE, b"1")))).is_halted


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(topics=frozenset({"cmd"})),
        Selection(topics=frozenset({"cmd-dlt"})),
        Selection(partitions=frozenset({0, 4}), offsets=frozenset({7})),
        Selection(places=frozenset({(TopicPartition("cmd-dlt", 0), 7)})),
        Selection(keys=frozenset({b"k"})),
        Selection(ids=frozenset({"id-3"}), types=frozenset({"t.Do"})),
        Selection(errors=frozenset({"BusyException"})),
        Selection(errors=frozenset({"shop.BusyException", "other"})),
        Selection(errors=frozenset({"TimeoutError"})),
        Selection(before_ms=7_001, after_ms=7_000),
    ],
)
def test_it_is_chosen_by_what_it_says(selection: Selection) -> None:
    assert selection.chooses(facts(7, 3))


@pytest.mark.parametrize(
    "selection",
    [
        Selection(topics=frozenset({"other"})),
        Selection(partitions=frozenset({1})),
        Selection(offsets=frozenset({3})),
        Selection(places=frozenset({(TopicPartition("cmd-dlt", 1), 7)})),
        Selection(keys=frozenset({b"other"})),
        Selection(ids=frozenset({"id-3"}), types=frozenset({"t.Other"})),
        Selection(errors=frozenset({"shop.TimeoutError"})),
        Selection(before_ms=7_000),
        Selection(after_ms=7_001),
    ],
)
def test_it_is_not_chosen_when_one_thing_is_otherwise(selection: Selection) -> None:
    assert not selection.chooses(facts(7, 3))
    assert not selection.chooses_all


def _parts(message: Message) -> tuple[str, int, int, bytes | None, bytes | None]:
    return message.topic, message.partition, message.offset, message.key, message.value
