"""What is settled of a dead letter partition survives in a commit, against a model that is a set."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.message import Position
from cqrs.messaging.redrive_ledger import Ledger, Settled, redrive_group

_OFFSETS = st.sets(st.integers(0, 60))


@given(_OFFSETS, st.lists(st.sets(st.integers(0, 70)), max_size=4))
def test_a_commit_says_exactly_what_is_outstanding(outstanding: set[int], settled: list[set[int]]) -> None:
    ledger = Ledger(sorted(outstanding), 64)
    for each in settled:
        ledger = ledger.without(each)
        outstanding = outstanding - each

    assert ledger.fits
    assert list(ledger.outstanding) == sorted(outstanding)
    assert ledger.position.offset == min(outstanding, default=64)
    known = Settled(ledger.position, 64)
    assert [offset for offset in range(64) if not known.holds(offset)] == sorted(outstanding)


@given(_OFFSETS, st.sets(st.integers(61, 90)), _OFFSETS)
def test_reading_on_adds_to_it(first: set[int], later: set[int], settled: set[int]) -> None:
    ledger = Ledger(sorted(first), 61).without(settled).add(sorted(later), 95)

    known = Settled(ledger.position, 95)
    assert [offset for offset in range(95) if not known.holds(offset)] == sorted((first - settled) | later)


def test_what_the_note_has_no_room_for_is_told_before_it_is_lost() -> None:
    ledger = Ledger(range(200_000), 200_000)
    scattered = sorted(Random(7).sample(range(1, 200_000), 5_000))

    assert ledger.without(scattered[:200]).fits
    assert not ledger.without(scattered).fits
    assert ledger.without(range(199_999)).fits


def test_a_commit_above_the_end_speaks_of_a_topic_that_is_gone() -> None:
    assert not Settled(Position(10), 9).holds(3)
    assert Settled(Position(10), 10).holds(3)
    assert not Settled(None, 10).holds(0)


def test_it_is_kept_in_a_group_of_its_own() -> None:
    assert redrive_group("shop") == "shop.redrive"
