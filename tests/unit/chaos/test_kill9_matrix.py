from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

import pytest

from cqrs.messaging import envelope
from cqrs.messaging.message import Message
from tests.chaos import kill9_matrix
from tests.chaos.kill9_matrix import REPEATED_AFTER_A_KILL, Matrix, run_seed
from tests.chaos.orders import outcomes
from tests.chaos.orders.deployment import Deployment, Where
from tests.chaos.orders.model import Command
from tests.chaos.orders.outcomes import Outcomes
from tests.chaos.processes import Forked
from tests.chaos.results import Progress, Result

DRAINS = ("mid_drain",)
"""In every life something is awaited, then the process is told to stop, and killed."""


class Topic:
    """Be a topic without a broker."""

    def __init__(self, _servers: str, _topic: str, *, at_end: bool = False) -> None:
        self.new: list[Message] = []

    def to_end(self) -> Iterator[Message]:
        while self.new:
            yield self.new.pop(0)

    def close(self) -> None:
        pass


class Stillborn(Forked):
    """Be a process that was never started."""

    def __init__(self) -> None:
        pass

    def terminate(self) -> None:
        pass


class Refusing(Deployment):
    """Refuse in each life what it is told to; all of it is read while something is awaited."""

    lives: Sequence[range] = ()

    def __init__(self, _where: Where, _name: str, _settings: Mapping[str, object] | None = None) -> None:
        self.prefix = "o"
        self.problems = []
        self.outcomes = Outcomes("", "events", "letters", self.prefix)
        self._coming = iter(self.lives)

    def __enter__(self) -> "Refusing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, crash_at: str | None = None, *, count_tasks: bool = False) -> Forked:
        return Stillborn()

    def send(self, commands: Sequence[Command]) -> None:
        pass

    def move(self, *, or_end: bool = False) -> None:
        letters = self.outcomes._letters
        assert isinstance(letters, Topic)
        letters.new = [
            Message("letters", 0, 0, b"o-1", b"", ((envelope.ID, b"c%d" % number),)) for number in next(self._coming)
        ]
        self.outcomes.read()

    def settle(self) -> None:
        self.move()

    def stop(self, process: Forked) -> None:
        pass

    def require_exit(self, process: Forked, wanted: int) -> bool:
        return True

    def judge(self) -> None:
        pass

    def measured(self) -> Mapping[str, object]:
        return {"repeated": self.outcomes.repeats}


def run(monkeypatch: pytest.MonkeyPatch, *lives: range) -> Result:
    """Kill every life but the last one."""
    monkeypatch.setattr(outcomes, "Log", Topic)
    monkeypatch.setattr(kill9_matrix, "Deployment", Refusing)
    monkeypatch.setattr(Refusing, "lives", lives)
    return run_seed(Matrix(1, 1_000, DRAINS * (len(lives) - 1)), Where(""), Progress())


def test_what_comes_again_in_the_next_life_is_counted_to_the_kill_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, *[range(5_000)] * 4)

    assert result.measured == {"kills": 3, "repeated": 15_000, "most after one kill": 5_000}
    assert [each.partition(";")[0] for each in result.problems] == [
        f"5000 outcomes of life {life} came again after its death at mid_drain:1" for life in (1, 2, 3)
    ]


def test_one_kill_that_repeats_too_much_is_a_problem_among_many_that_repeat_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = REPEATED_AFTER_A_KILL
    new = [range(1_000 * life, 1_000 * life + most + 1) for life in range(10)]

    assert not run(monkeypatch, *new).problems
    assert not run(monkeypatch, *new[:5], new[4][1:], *new[5:]).problems
    (problem,) = run(monkeypatch, *new[:5], new[4], *new[5:]).problems
    assert f"{most + 1} outcomes of life 5 came again" in problem


def test_repeats_of_two_kills_that_come_together_are_counted_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second life dies before it comes to what the first one left."""
    result = run(monkeypatch, range(100), range(100, 200), range(200), range(200, 300))

    assert result.measured["most after one kill"] == 100
    assert not result.problems


def test_what_is_repeated_twice_is_counted_once_to_each_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, range(100), range(80), range(100))

    assert (result.measured["repeated"], result.measured["most after one kill"]) == (180, 100)
