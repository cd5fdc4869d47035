"""Waits grow exponentially, never pass the maximum, never spin."""

from hypothesis import given
from hypothesis import strategies as st

from cqrs.messaging.backoff import Backoff

seconds = st.floats(min_value=0.001, max_value=100)
factors = st.floats(1, 1000)
shares = st.floats(0, 1)


def backoff_of(low: float, high: float, share: float) -> Backoff:
    """Return one whose chance always falls at this share of what it may choose from."""
    return Backoff(low, high, uniform=lambda begin, end: begin + (end - begin) * share)


def doubled(low: float, high: float, attempt: int) -> float:
    """Return the bound of a wait by doubling, until it is at the maximum."""
    bound = low
    for _ in range(attempt):
        if bound >= high:
            break
        bound *= 2
    return min(bound, high)


@given(attempt=st.integers(0, 10_000), low=seconds, factor=factors, share=shares)
def test_a_wait_lies_between_half_the_minimum_and_the_maximum(
    attempt: int, low: float, factor: float, share: float
) -> None:
    assert low / 2 <= backoff_of(low, low * factor, share).delay(attempt) <= low * factor


@given(attempt=st.integers(0, 100), low=seconds, factor=factors, share=shares)
def test_a_wait_is_chosen_from_0_to_a_bound_that_doubles_until_the_maximum(
    attempt: int, low: float, factor: float, share: float
) -> None:
    delay = backoff_of(low, low * factor, share).delay(attempt)

    assert delay == max(doubled(low, low * factor, attempt) * share, low / 2)


@given(attempt=st.integers(0, 10_000), low=seconds, factor=factors, share=shares)
def test_with_the_same_luck_no_wait_is_shorter_than_the_one_before(
    attempt: int, low: float, factor: float, share: float
) -> None:
    backoff = backoff_of(low, low * factor, share)

    assert backoff.delay(attempt) <= backoff.delay(attempt + 1)


@given(attempt=st.integers(0, 10**30), low=st.floats(1e-300, 1e300), high=st.floats(1e-300, 1e300))
def test_no_number_of_attempts_and_no_setting_is_too_large_for_it(attempt: int, low: float, high: float) -> None:
    assert min(low, high) / 2 <= backoff_of(low, high, 1.0).delay(attempt) <= high


def test_the_bound_doubles_until_the_maximum() -> None:
    backoff = backoff_of(0.1, 1.0, 1.0)

    assert [backoff.delay(attempt) for attempt in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_full() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    Backoff(1.0, 60.0, uniform=uniform).delay(3)

    assert asked == [(0.0, 8.0)]


def test_waits_differ_unless_told_otherwise() -> None:
    backoff = Backoff(1.0, 1024.0)
    waits = {backoff.delay(10) for _ in range(200)}

    assert len(waits) > 190
    assert min(waits) < 512 < max(waits)
