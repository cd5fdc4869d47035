"""Others that commit show that the database works, unless that was before it went away."""

import pytest

from cqrs.sql.commits import Commits


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_before_the_first_commit_nobody_knows() -> None:
    commits = Commits()
    assert not commits.serves_others(commits.now())


@pytest.mark.parametrize(
    ("committed_at", "works"),
    [(99.0, False), (101.0, False), (114.0, False), (116.0, True), (129.0, True)],
)
def test_only_what_committed_in_the_later_half_counts(committed_at: float, works: bool) -> None:
    clock = Clock()
    commits = Commits(clock)
    begun_at = commits.now()
    clock.now = committed_at
    commits.note()
    clock.now = begun_at + 30.0

    assert commits.serves_others(begun_at) is works
