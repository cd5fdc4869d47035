"""What becomes of a failed try: again after a while, put aside, or skipped."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cqrs.delivery import DeadLetter, DeliveryVerdictException, Retry, Skip, WhenExhausted
from cqrs.exceptions import (
    CommandProcessingException,
    CqrsException,
    DependencyUnavailableException,
    PossiblyUnavailableException,
    message_of,
)
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.dead_letters import HaltingException
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome, TryAgainException
from cqrs.messaging.failures import FailureKind, Failures, root_of, verdict_of
from cqrs.messaging.retry_topics import RetryTopics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bound the attempts of a record that fails in a transient way.

    Attributes:
        max_attempts: How often it is run at most, the first time included.
        max_seconds: How long after its first failure it may be run again.
        when_exhausted: What follows when these run out.
    """

    max_attempts: int
    max_seconds: float
    when_exhausted: WhenExhausted = "skip"


class RetriesExhaustedException(HaltingException):
    """Report a record whose attempts, or whose time, ran out.

    Args:
        cause: What the last attempt failed with.
        attempts: How many there were.
        policy: What bounded them.
    """

    def __init__(self, cause: Exception, attempts: int, policy: RetryPolicy) -> None:
        super().__init__(
            f"given up after {attempts} attempts (at most {policy.max_attempts}, within {policy.max_seconds:g} s): "
            f"{message_of(cause)}"
        )
        self.__cause__ = cause
        self.attempts = attempts
        self.halts = "first" if policy.when_exhausted == "halt_key" else None


class Retries:
    """Decide what follows a failed try.

    Args:
        failures: Tells the kind of an error.
        policy: For commands whose handler has no policy of its own.
        policies: The policies of handlers, by the class of their commands.
        backoff: How long a try waits.
        topics: Where failed records of some topics wait, so that their key goes on without them.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        failures: Failures,
        policy: RetryPolicy,
        policies: Mapping[type, RetryPolicy],
        backoff: Backoff,
        topics: RetryTopics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._policy = policy
        self._policies = policies
        self._backoff = backoff
        self._topics = topics
        self._clock = clock

    def require_due(self, delivery: Delivery) -> None:
        """Let pass a delivery whose time has come.

        Raises:
            TryAgainException: it is read from a retry topic, before the time that is written on it.
        """
        seconds = self._topics.seconds_until_due(delivery.message)
        if seconds > 0:
            raise TryAgainException(seconds, _NotDueException(f"it is due in {seconds:.1f} s"))

    async def judge(self, delivery: Delivery, error: Exception) -> Outcome | None:
        """Settle the failed try, when that can be done here: by skipping it, or by a retry topic.

        None says that it can never succeed. The error is not raised from here: its traceback would hold this frame, and
        this frame the error, until the garbage is collected.

        Raises:
            TryAgainException: it is to be tried again.
            RetriesExhaustedException: its attempts or its time ran out.
        """
        verdict = verdict_of(error)
        if isinstance(verdict, Skip):
            return Outcome("skipped", error=verdict)
        if isinstance(verdict, DeadLetter):
            return None
        kind = self._failures.kind_of(error)
        if kind is FailureKind.DEPENDENCY_DOWN:
            raise self._held(delivery, error)
        if kind is FailureKind.TRANSIENT:
            return await self._again(delivery, error, verdict)
        return None

    def _held(self, delivery: Delivery, error: Exception) -> TryAgainException:
        root = root_of(error)
        name = root.dependency if isinstance(root, DependencyUnavailableException) else "a dependency"
        doubtful = isinstance(root, PossiblyUnavailableException)
        if doubtful:  # it is no outage that is told of elsewhere
            logger.warning("%s is held, its partition is read on: %s", delivery.message.place, message_of(error))
        return TryAgainException(self._backoff.delay(delivery.waits), error, waits_for=name, is_outage=not doubtful)

    async def _again(self, delivery: Delivery, error: Exception, verdict: DeliveryVerdictException | None) -> Outcome:
        policy, attempts = self._policy_of(error), self._topics.attempts(delivery.message) + delivery.attempt + 1
        wait = verdict.after if isinstance(verdict, Retry) and verdict.after is not None else None
        later = self._topics.next_of(delivery.message)
        if self._is_over(delivery, policy, attempts, wait or 0.0) or (later is None and self._topics.ends(delivery)):
            raise RetriesExhaustedException(error, attempts, policy)
        if later is not None:
            return await self._put(later, delivery, error, attempts, wait)
        seconds = self._backoff.delay(delivery.attempt) if wait is None else wait
        raise TryAgainException(seconds, error, spent=True)

    async def _put(
        self, topic: str, delivery: Delivery, error: Exception, attempts: int, wait: float | None
    ) -> Outcome:
        try:
            await self._topics.put(topic, delivery.message, error, attempts, wait)
        except DependencyUnavailableException as away:
            raise self._held(delivery, away) from away
        return Outcome("retried_later", topic, error)

    def _is_over(self, delivery: Delivery, policy: RetryPolicy, attempts: int, wait: float) -> bool:
        if attempts >= policy.max_attempts:
            return True
        since = 0.0 if delivery.failed_at is None else self._clock() - delivery.failed_at
        return since + wait >= policy.max_seconds

    def _policy_of(self, error: BaseException) -> RetryPolicy:
        command_type = error.command_type if isinstance(error, CommandProcessingException) else None
        return self._policy if command_type is None else self._policies.get(command_type, self._policy)


class _NotDueException(CqrsException):
    """Say that a record's time has not come."""


def retry(retries: Retries) -> Middleware:
    """Settle a failed try as `retries` decides; a delivery whose refusal is known is not tried at all."""

    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def retried(delivery: Delivery) -> Outcome:
            if delivery.refusal is not None:
                raise delivery.refusal
            retries.require_due(delivery)
            try:
                return await handler(delivery)
            except TryAgainException:
                raise
            except Exception as error:
                outcome = await retries.judge(delivery, error)
                if outcome is None:
                    raise
                logger.warning("%s %s: %s", outcome.name, delivery.message.place, message_of(error))
                return outcome

        return retried

    return wrap
