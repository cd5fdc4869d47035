from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bus.contestants import CONTESTANTS
from benchmarks.bus.figures import GOALS, Goal, Sample, middle, missed, ratio, spread

durations = st.lists(st.floats(min_value=0.01, max_value=1000), min_size=1, max_size=50)
GOAL = Goal("ours", "theirs", 0.5, "half is enough")


def sample(*sent: float) -> Sample:
    return Sample(made=tuple(1.0 for _ in sent), sent=sent)


def test_the_middle_is_the_median_so_one_disturbed_round_does_not_move_it() -> None:
    assert middle([5.0, 6.0, 900.0]) == 6.0
    assert middle([5.0, 6.0, 7.0, 900.0]) == 6.5


def test_the_spread_is_the_middle_half_of_the_rounds() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert spread([3.0]) == (3.0, 3.0)


@given(durations)
def test_the_spread_holds_the_median_and_stays_inside_what_was_measured(values: list[float]) -> None:
    lower, upper = spread(values)

    assert all(a <= b or a == pytest.approx(b) for a, b in pairwise([min(values), lower, middle(values), upper]))
    assert upper <= max(values) or upper == pytest.approx(max(values))


def test_a_ratio_compares_within_each_round_so_a_load_on_both_leaves_it_alone() -> None:
    busy_in_the_second_round = ratio([5.0, 50.0, 5.0], [10.0, 100.0, 10.0])

    assert busy_in_the_second_round == 0.5
    assert ratio([1.0, 8.0, 9.0], [1.0, 2.0, 3.0]) == 3.0


@given(durations, st.floats(min_value=0.1, max_value=10))
def test_a_ratio_is_the_factor_between_two_contestants(values: list[float], factor: float) -> None:
    assert ratio([value * factor for value in values], values) == pytest.approx(factor)


def test_rounds_that_do_not_match_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratio([1.0], [1.0, 2.0])


def test_a_goal_is_met_up_to_its_bound() -> None:
    assert missed({"ours": sample(5.0), "theirs": sample(10.0)}, [GOAL]) == []


def test_a_goal_that_is_missed_says_by_what_and_why_it_stands() -> None:
    assert missed({"ours": sample(6.0), "theirs": sample(10.0)}, [GOAL]) == [
        "ours takes 0.60 of theirs; at most 0.5 is the goal: half is enough"
    ]


def test_a_goal_whose_contestants_did_not_run_is_missed() -> None:
    assert missed({"ours": sample(1.0)}, [GOAL]) == [
        "ours: theirs took no part, so nothing is known of this goal",
    ]


def test_every_goal_and_every_comparison_names_a_contestant() -> None:
    titles = {each.title for each in CONTESTANTS}

    assert len(titles) == len(CONTESTANTS)
    assert titles >= {title for goal in GOALS for title in (goal.title, goal.against)}
    assert titles >= {title for each in CONTESTANTS for title in (each.yardstick, each.rival)}
