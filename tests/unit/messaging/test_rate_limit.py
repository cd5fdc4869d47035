"""A rate is never passed, whoever asks when, and those who are refused come back one by one."""

import heapq
import math
import random
from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.rate_limit import LATE_SECONDS, LINE_SECONDS, RateLimit


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Bucket:
    """Count tokens, exactly."""

    def __init__(self, per_second: Fraction, burst: int) -> None:
        self.per_second, self.burst = per_second, burst
        self.tokens, self.at = Fraction(burst), Fraction(0)

    def admit(self, now: Fraction) -> Fraction:
        """Take a token and return 0, or return the seconds until the next one is there."""
        self.tokens = min(self.tokens + (now - self.at) * self.per_second, Fraction(self.burst))
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.per_second
        self.tokens -= 1
        return Fraction(0)


def most_above_the_bound(times: list[float], per_second: float, burst: int) -> float:
    """Return by how much the fullest window of these times passes what may be in it; at most 0 when none does."""
    return max(
        (end - begin + 1) - (burst + per_second * (times[end] - times[begin]))
        for end in range(len(times))
        for begin in range(end + 1)
    )


# Powers of two and 64ths of a second are exact as floats, so both have to agree to the last bit.
exact_rates = st.integers(-3, 6).map(lambda exponent: 2.0**exponent)
gaps = st.integers(0, 400) | st.integers(0, 3)


@given(exact_rates, st.integers(1, 5), st.lists(gaps, max_size=80))
def test_it_decides_as_a_bucket_of_counted_tokens_does(per_second: float, burst: int, script: list[int]) -> None:
    clock = Clock()
    limit, bucket = RateLimit(per_second, burst, clock), Bucket(Fraction(per_second), burst)
    for gap in script:
        clock.now += gap / 64

        told, until_token = limit.admit(), bucket.admit(Fraction(clock.now))

        assert (told == 0) == (until_token == 0)
        assert until_token <= told <= until_token + LINE_SECONDS


@given(
    st.floats(0.01, 10_000), st.integers(1, 20), st.floats(0, 1e9), st.lists(st.floats(0, 1), min_size=1, max_size=120)
)
def test_no_window_holds_more_than_the_burst_and_what_comes_in_its_time(
    per_second: float, burst: int, begin: float, script: list[float]
) -> None:
    clock = Clock(begin)
    limit = RateLimit(per_second, burst, clock)
    admitted: list[float] = []
    for gap in script:
        clock.now += gap * 3 / per_second
        if limit.admit() == 0:
            admitted.append(clock.now)

    assert admitted
    rounding = 1e-6 * per_second + 1e-6
    assert most_above_the_bound(admitted, per_second, burst) <= rounding


@given(
    st.floats(0.05, 2_000),
    st.integers(1, 3) | st.integers(1, 50),
    st.floats(0, 1e7),
    st.lists(st.sampled_from([0.0, LATE_SECONDS]) | st.floats(0, LATE_SECONDS), min_size=1, max_size=60),
)
def test_who_comes_back_at_its_time_is_admitted(per_second: float, burst: int, begin: float, late: list[float]) -> None:
    clock = Clock(begin)
    limit = RateLimit(per_second, burst, clock)
    for _ in range(burst):
        assert limit.admit() == 0
    told = [seconds for seconds in (limit.admit() for _ in late) if seconds <= LINE_SECONDS / 2]
    due = [begin + seconds for seconds in told]

    assert all(later - earlier >= 0.999 / per_second for earlier, later in pairwise(due))
    for clock.now in sorted(time + lateness for time, lateness in zip(due, late, strict=False)):
        assert limit.admit() == 0


def test_the_next_token_is_told_exactly_and_the_ones_behind_it_in_turn() -> None:
    clock = Clock()
    limit = RateLimit(2, 2, clock)

    assert [limit.admit() for _ in range(5)] == pytest.approx([0, 0, 0.5, 1.0, 1.5], abs=0.002)


def test_a_pause_saves_up_the_burst_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(10, 3, clock)
    for _ in range(2):
        clock.now += 1_000
        assert [limit.admit() == 0 for _ in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize(("per_second", "burst"), [(0.1, 1), (1, 1), (1.5, 2), (10, 10), (99.5, 100)])
def test_the_burst_is_that_of_one_second_when_none_is_given(per_second: float, burst: int) -> None:
    limit = RateLimit(per_second, clock=Clock())

    assert [limit.admit() == 0 for _ in range(burst + 1)] == [True] * burst + [False]


def test_behind_a_long_line_callers_are_told_different_times_within_which_to_ask_again() -> None:
    limit = RateLimit(10, 1, Clock())
    limit.admit()
    told = sorted(limit.admit() for _ in range(1_000))

    assert told[-1] <= 0.1 + LINE_SECONDS
    assert len(set(told)) == 1_000
    fullest = max(bisect_left(told, each + 0.1) - index for index, each in enumerate(told))
    assert fullest < 30  # 900 of them in 5 seconds are 18 in a tenth of one


class Crowd:
    """Be callers who all come at once, and come back when they are told to, each a little late."""

    def __init__(self, limit: RateLimit, clock: Clock, count: int, seed: int = 1) -> None:
        self.limit, self.clock, self.dice = limit, clock, random.Random(seed)
        self.due = [(clock.now, number) for number in range(count)]
        self.admitted: list[float] = []
        self.asked = 0

    def run(self, until: float) -> None:
        while self.due and self.due[0][0] <= until:
            self.clock.now, number = heapq.heappop(self.due)
            self.asked += 1
            seconds = self.limit.admit()
            if seconds == 0:
                self.admitted.append(self.clock.now)
            else:
                heapq.heappush(self.due, (self.clock.now + seconds + self.dice.uniform(0, LATE_SECONDS), number))
        self.clock.now = until


@pytest.mark.parametrize(
    ("per_second", "burst", "count"), [(10, 10, 500), (10, 1, 300), (100, 100, 2_000), (0.5, 1, 40)]
)
def test_a_crowd_is_let_in_at_the_rate_and_asks_seldom(per_second: float, burst: int, count: int) -> None:
    clock = Clock()
    crowd = Crowd(RateLimit(per_second, burst, clock), clock, count)

    crowd.run(math.inf)

    assert len(crowd.admitted) == count
    assert most_above_the_bound(crowd.admitted, per_second, burst) <= 1e-6
    assert crowd.admitted[-1] < 1.25 * (count - burst) / per_second + LINE_SECONDS
    assert crowd.asked < 8 * count


def test_callers_who_never_come_back_do_not_hold_up_those_who_come_after_them() -> None:
    """A rebalance takes their partitions away."""
    clock = Clock()
    limit = RateLimit(10, 10, clock)
    Crowd(limit, clock, 1_000).run(0.0)
    crowd = Crowd(limit, clock, 1_000)

    crowd.run(3 * LINE_SECONDS)

    assert len(crowd.admitted) > 0.7 * 10 * 3 * LINE_SECONDS


@pytest.mark.parametrize("per_second", [0, -1, math.inf, math.nan, 5e-324])
def test_a_rate_that_is_none_is_refused(per_second: float) -> None:
    with pytest.raises(ValueError, match=f"a rate of {per_second} a second"):
        RateLimit(per_second)


def test_a_burst_that_admits_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="a burst of 0 admits nobody"):
        RateLimit(1, 0)
