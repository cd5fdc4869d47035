from hypothesis import given
from hypothesis import strategies as st

from cqrs.kafka.pace import Pace
from cqrs.messaging.backoff import Backoff

FIRST, LONGEST, FORGET = 0.25, 5.0, 30.0


def bound(_: float, most: float) -> float:
    return most


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_first_failure_costs_no_time_and_later_ones_ever_more() -> None:
    clock = Clock()
    pace = Pace(Backoff(FIRST, LONGEST, bound), FORGET, clock)
    waits = [pace.remaining_seconds]
    for _ in range(8):
        pace.failed()
        waits.append(pace.remaining_seconds)
        clock.now += pace.remaining_seconds
    assert waits == [0, 0, 0.25, 0.5, 1, 2, 4, 5, 5]
    assert pace.remaining_seconds == 0


@given(st.lists(st.floats(min_value=0, max_value=2 * FORGET), max_size=30))
def test_every_wait_is_what_the_failures_in_a_row_before_it_ask_for(gaps: list[float]) -> None:
    clock, in_a_row = Clock(), 0
    pace = Pace(Backoff(FIRST, LONGEST, bound), FORGET, clock)
    pace.failed()
    for gap in gaps:
        before = clock.now
        clock.now += gap
        in_a_row = 0 if clock.now - before > FORGET else in_a_row + 1
        pace.failed()
        expected = 0.0 if in_a_row == 0 else min(LONGEST, FIRST * 2 ** (in_a_row - 1))
        assert abs(pace.remaining_seconds - expected) < 1e-9
