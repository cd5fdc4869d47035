"""Waits grow exponentially, never pass the maximum, never spin."""

from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.backoff import Backoff

seconds = st.floats(min_value=0.001, max_value=100)


@given(attempt=st.integers(0, 10_000), low=seconds, factor=st.floats(1, 1000), share=st.floats(0, 1))
def test_a_wait_lies_between_half_the_minimum_and_the_maximum(
    attempt: int, low: float, factor: float, share: float
) -> None:
    backoff = Backoff(low, low * factor, uniform=lambda a, b: a + (b - a) * share)

    delay = backoff.delay(attempt)

    assert low / 2 <= delay <= max(low * factor, low / 2)


def test_the_bound_doubles_until_the_maximum() -> None:
    backoff = Backoff(0.1, 1.0, uniform=lambda _low, high: high)

    assert [backoff.delay(attempt) for attempt in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_full() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    Backoff(1.0, 60.0, uniform=uniform).delay(3)

    assert asked == [(0.0, 8.0)]
