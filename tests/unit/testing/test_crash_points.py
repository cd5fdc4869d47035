"""A crash point is named, counted, and refused when there is none of that name."""

import pytest

from cqrs.exceptions import ConfigurationException
from cqrs.testing.crash_points import CrashAt, CrashPoint, parse_crash_point


@pytest.mark.parametrize(
    ("text", "expected"), [("acked:137", (CrashPoint.ACKED, 137)), ("mid_drain", (CrashPoint.MID_DRAIN, 1))]
)
def test_it_is_read(text: str, expected: tuple[CrashPoint, int]) -> None:
    assert parse_crash_point(text) == expected


@pytest.mark.parametrize("text", ["acked:0", "acked:", "acked:x", "acked:-1"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationException, match="from 1, as in acked:137"):
        CrashAt(text)


def test_an_unknown_point_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ConfigurationException) as refused:
        CrashAt("inbox_commit:3")

    assert all(each.value in refused.value.problems[0] for each in CrashPoint)


def test_it_acts_once_at_the_passage_that_it_names() -> None:
    acted: list[int] = []
    crash = CrashAt("acked:2", do=lambda: acted.append(crash.passages))

    for point in (CrashPoint.SENT, CrashPoint.ACKED, CrashPoint.SENT, CrashPoint.ACKED, CrashPoint.ACKED):
        crash(point)

    assert acted == [2]
    assert crash.passages == 3
