import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from cqrs.messaging.message import Message
from tests.chaos.member import Membership
from tests.chaos.rebalance_storm import REPEATED_AFTER_A_KILL, Copies, Group, Storm


def copies(*texts: str, milliseconds: Sequence[int] = ()) -> list[Message]:
    times = milliseconds or range(len(texts))
    return [
        Message("out", 0, offset, b"k", text.encode(), (), time)
        for offset, (text, time) in enumerate(zip(texts, times, strict=True))
    ]


def test_a_record_that_one_who_was_killed_had_copied_may_be_there_again() -> None:
    found = Copies(3, 1, copies("0 a", "1 a", "1 b", "2 b"))

    assert found.problems({"a": "SIGKILL", "b": "stayed"}) == []
    assert found.repeated({"a": "SIGKILL", "b": "stayed"}) == {"SIGKILL": 1}


def test_one_who_left_in_order_had_committed_what_it_copied() -> None:
    found = Copies(3, 1, copies("0 a", "1 a", "1 b", "2 b"))

    assert list(found.problems({"a": "SIGTERM", "b": "stayed"})) == [
        "1 was copied by a (SIGTERM), and again at out[0]@2"
    ]


def test_a_loss_and_a_swap_are_shown() -> None:
    (verdict,) = Copies(4, 1, copies("0 a", "2 a", "1 a")).problems({"a": "stayed"})

    assert "lost        key 0 #4, id 3" in verdict
    assert "reordered   key 0 #2, id 1: published at out[0]@2, behind #3" in verdict


def test_a_kill_repeats_no_more_than_was_in_work_or_uncommitted() -> None:
    count = REPEATED_AFTER_A_KILL + 1
    texts = [*(f"{number} a" for number in range(count)), *(f"{number} b" for number in range(count))]

    (problem,) = Copies(count, 1, copies(*texts)).problems({"a": "SIGKILL", "b": "stayed"})

    assert f"{count} records of a (SIGKILL) were copied again" in problem


def test_the_longest_stall_is_the_longest_time_without_any_copy() -> None:
    found = Copies(4, 1, copies("0 a", "1 a", "2 a", "3 a", milliseconds=(5_000, 1_000, 1_200, 4_100)))

    assert found.longest_stall == 2.9


def test_what_the_members_wrote_is_gone_when_all_was_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    membership = Membership("", "g", "in", "out", 2.0, 0.0)

    with Group(Storm(1), membership):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []

    with Group(Storm(1), membership) as group:
        group.problems.append("1 was lost")
    assert len(list(tmp_path.iterdir())) == 1

    with pytest.raises(OSError, match="away"), Group(Storm(1), membership):
        raise OSError("the broker is away")
    assert len(list(tmp_path.iterdir())) == 2
