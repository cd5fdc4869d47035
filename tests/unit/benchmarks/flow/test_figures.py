import pytest

from benchmarks.flow.figures import GOALS, Goal, cpu_ratio, found_ratio, missed, rate_ratio
from benchmarks.flow.roster import CONTESTANTS, EMBEDDED, KAFKA, OWN, PLAIN
from benchmarks.flow.rounds import Outcome
from benchmarks.flow.workers import Measured


def turns(*rates: float) -> list[Measured]:
    return [Measured(rate, 1e6 / rate, 0.0, 100.0) for rate in rates]


HALF = Goal(OWN, PLAIN, 0.5, "half", (KAFKA,))


def test_ratios_are_taken_within_each_round() -> None:
    assert rate_ratio(turns(10, 200, 30), turns(20, 100, 60)) == 0.5
    assert cpu_ratio(turns(10, 200, 30), turns(20, 100, 60)) == 2.0


def test_a_goal_is_met_or_missed_on_the_brokers_that_it_counts_on() -> None:
    slow = {OWN: turns(49, 49, 49), PLAIN: turns(100, 100, 100)}

    assert missed(Outcome(EMBEDDED, slow), [HALF]) == []
    assert missed(Outcome(KAFKA, {OWN: turns(50), PLAIN: turns(100)}), [HALF]) == []
    assert missed(Outcome(KAFKA, slow), [HALF]) == [
        f"{KAFKA}: {OWN} does 0.49 of {PLAIN}; at least 0.5 is the goal: half"
    ]


def test_a_goal_whose_contestants_took_no_part_is_missed() -> None:
    outcome = Outcome(KAFKA, {OWN: turns(1.0)})

    assert found_ratio(outcome, HALF) is None
    assert missed(outcome, [HALF]) == [f"{KAFKA}: {PLAIN} took no part, so nothing is known of this goal"]


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.title)
def test_each_goal_is_about_contestants_there_are(goal: Goal) -> None:
    assert {goal.title, goal.against} <= {each.title for each in CONTESTANTS}
    assert goal.brokers


def test_each_contestant_has_a_yardstick_and_slow_ones_still_have_messages() -> None:
    titles = [each.title for each in CONTESTANTS]

    assert len(set(titles)) == len(titles)
    assert {each.yardstick for each in CONTESTANTS} <= set(titles)
    assert all(each.messages(1, broker) >= 50 for each in CONTESTANTS for broker in (EMBEDDED, KAFKA))
    assert all(each.file.exists() for each in CONTESTANTS)
