"""When a handler is tried again, and how long it is waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.retries import LONGEST_WAIT, RetryPolicy, Timing, may_succeed_later
from cqrs.exceptions import (
    CommandProcessingException,
    CqrsException,
    DependencyUnavailableException,
    HandlerTimeoutException,
    UnexpectedResultException,
)
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult


class OfTheDomain(Exception):
    retryable = False


@pytest.mark.parametrize(
    "error",
    [ValueError(), RuntimeError(), KeyError(), OSError(), TimeoutError(), DependencyUnavailableException("db", "away")],
    ids=repr,
)
def test_what_may_succeed_later(error: Exception) -> None:
    assert may_succeed_later(error)


@pytest.mark.parametrize(
    "error",
    [
        TypeError(),
        AttributeError(),
        NameError(),
        ImportError(),
        AssertionError(),
        NotImplementedError(),
        RecursionError(),
        CqrsException(),
        HandlerTimeoutException("H", 1),
        UnexpectedResultException(),
        CqrsValidationException(ValidationResult.failure("x", "no")),
        AuthorizationException(AuthorizationResult.failure("x", "no")),
        CommandProcessingException("nested", cause=ValueError()),
        OfTheDomain(),
    ],
    ids=repr,
)
def test_what_cannot_succeed_is_never_tried_again(error: Exception) -> None:
    assert not may_succeed_later(error)
    assert not RetryPolicy(3, 0.1).allows(error, 0)


def test_a_wrapped_dependency_error_may_succeed_later() -> None:
    assert may_succeed_later(CommandProcessingException("n", cause=DependencyUnavailableException("db", "away")))


def test_retries_are_further_attempts_after_the_first() -> None:
    policy = RetryPolicy(2, 0.1)
    assert [policy.allows(ValueError(), attempt) for attempt in range(4)] == [True, True, False, False]
    assert not policy.allows(KeyboardInterrupt(), 0)


@pytest.mark.asyncio
async def test_waits_are_jittered_below_a_bound_that_doubles() -> None:
    bounds: list[tuple[float, float]] = []
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 2

    policy = RetryPolicy(9, 0.5, Timing(sleep=sleep, uniform=uniform))
    for attempt in range(3):
        await policy.wait(attempt)

    assert bounds == [(0.0, 0.5), (0.0, 1.0), (0.0, 2.0)]
    assert slept == [0.25, 0.5, 1.0]


@given(st.integers(0, 10_000), st.floats(0, 1e6))
def test_no_wait_is_longer_than_the_longest(attempt: int, backoff: float) -> None:
    bounds: list[float] = []

    async def sleep(seconds: float) -> None:
        assert 0 <= seconds <= LONGEST_WAIT

    def uniform(low: float, high: float) -> float:
        bounds.append(high)
        return high

    waiting = RetryPolicy(1, backoff, Timing(sleep=sleep, uniform=uniform)).wait(attempt)
    with pytest.raises(StopIteration):
        waiting.send(None)
    assert bounds[0] <= LONGEST_WAIT
