"""When a failed attempt is followed by another, and how long to wait before it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cqrs.command.unit_of_work import UnitOfWorkException
from cqrs.exceptions import CqrsException, is_retryable

LONGEST_WAIT = 60.0
"""Seconds; no wait is longer, whatever backoff and number of attempts say."""

_MISTAKES = (TypeError, AttributeError, NameError, ImportError, AssertionError, NotImplementedError, RecursionError)


@dataclass(frozen=True, slots=True)
class Timing:
    """Hold the clock, the sleep and the randomness of a bus, so that tests need wait for none of them.

    Attributes:
        clock: Seconds, for durations.
        sleep: Waits so many seconds.
        uniform: Returns a random number between two bounds.
    """

    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    uniform: Callable[[float, float], float] = random.uniform


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Say how often a handler is tried again, and when.

    Attributes:
        retries: Further attempts after the first one.
        backoff_seconds: The bound of the first wait.
        timing: Sleep and randomness.
    """

    retries: int
    backoff_seconds: float
    timing: Timing = Timing()

    def allows(self, error: BaseException, attempt: int) -> bool:
        """Say whether there is another attempt after attempt number `attempt`, counted from 0, raised `error`."""
        return attempt < self.retries and isinstance(error, Exception) and may_succeed_later(error)

    async def wait(self, attempt: int) -> None:
        """Wait before the attempt that follows number `attempt`: exponential backoff with full jitter.

        Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        bound = min(LONGEST_WAIT, self.backoff_seconds * 2 ** min(attempt, 64))
        await self.timing.sleep(self.timing.uniform(0.0, bound))


def may_succeed_later(error: Exception) -> bool:
    """Say whether the same call may succeed without anything being changed.

    An exception that has an attribute `retryable` answers for itself, as all of ours do; a programming mistake and a
    refusal cannot; of any other exception nothing is known, so it may. For an error that the handler had caught, what
    it was counts.
    """
    if isinstance(error, UnitOfWorkException) and error.cause is not None:
        return may_succeed_later(error.cause)
    if isinstance(error, CqrsException) or hasattr(error, "retryable"):
        return is_retryable(error)
    return not isinstance(error, _MISTAKES)
