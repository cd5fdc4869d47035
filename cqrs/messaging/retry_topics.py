"""Topics in which failed records wait, where a team chose them: the key goes on without them, and order is given up.

The headers are Spring Kafka's, byte for byte. Source: `RetryTopicHeaders` and `DeadLetterPublishingRecovererFactory` of
spring-kafka 3: attempts are 4 bytes, times are the milliseconds since the epoch as the shortest two's complement.
"""

import time
from collections.abc import Callable
from typing import Protocol

from cqrs.messaging.dead_letters import describe, origin_of, replaced
from cqrs.messaging.delivery import Delivery
from cqrs.messaging.message import Headers, Message, OutgoingMessage
from cqrs.messaging.placing import send_beside
from cqrs.messaging.ports import Producer

ATTEMPTS = "retry_topic-attempts"
BACKOFF_TIMESTAMP = "retry_topic-backoff-timestamp"
ORIGINAL_TIMESTAMP = "retry_topic-original-timestamp"

_LONGEST_SECONDS = 24 * 3600.0
"""A day: a header that asks for a longer wait than this, and than its topic's delay, is wrong."""


class RetryPlan(Protocol):
    """Know the retry topics of each command topic."""

    def retry_topics(self, source: str) -> tuple[str, ...]:
        """Return the retry topics of a command topic, the shortest delay first."""
        ...

    def source_of(self, topic: str) -> str:
        """Return the command topic of a retry topic; of any other, itself."""
        ...

    def delay_seconds(self, topic: str) -> float:
        """Return how long records wait in a retry topic."""
        ...


class RetryTopics:
    """Put failed records into the retry topics of the topic they came from.

    Args:
        producer: Where they go; its acknowledgement is awaited before the record counts as settled.
        plan: Knows the topics.
        group_id: The consumer group in which they failed.
        now: Seconds since the epoch.
    """

    def __init__(
        self, producer: Producer, plan: RetryPlan, group_id: str, now: Callable[[], float] = time.time
    ) -> None:
        self._producer = producer
        self._plan = plan
        self._group_id = group_id
        self._now = now

    def seconds_until_due(self, message: Message) -> float:
        """Return how long `message` has to wait yet; never longer than its topic's delay, whatever its header says."""
        source = self._plan.source_of(message.topic)
        if source == message.topic:
            return 0.0
        due = _number(message.headers, BACKOFF_TIMESTAMP)
        wait = message.timestamp_ms / 1000 + self._plan.delay_seconds(message.topic) if due is None else due / 1000
        return min(wait - self._now(), max(self._plan.delay_seconds(message.topic), _LONGEST_SECONDS))

    def attempts(self, message: Message) -> int:
        """Return how many attempts `message` had before it came to the topic that it was read from."""
        if self._plan.source_of(message.topic) == message.topic:
            return 0  # a plain topic: whoever writes such a header there does not spend our attempts
        return max(_number(message.headers, ATTEMPTS) or 0, 0)

    def next_of(self, message: Message) -> str | None:
        """Return the topic in which `message` waits when it fails now, or None when there is none, or no further."""
        topics = self._plan.retry_topics(self._plan.source_of(message.topic))
        index = topics.index(message.topic) + 1 if message.topic in topics else 0
        return topics[index] if index < len(topics) else None

    def ends(self, delivery: Delivery) -> bool:
        """Say whether `delivery` comes from a retry topic: what fails in the last one is not tried in place."""
        return self._plan.source_of(delivery.message.topic) != delivery.message.topic

    async def put(self, topic: str, message: Message, error: Exception, attempts: int, after: float | None) -> None:
        """Store `message` in `topic`, due after its delay, or after `after` seconds if that is later.

        Raises:
            DependencyUnavailableException: the broker did not acknowledge it.
            UnpublishableEventException: the broker refuses it: there is no such topic, for example.
        """
        delay = max(self._plan.delay_seconds(topic), after or 0.0)
        first = _number(message.headers, ORIGINAL_TIMESTAMP)
        added = {
            **origin_of(message, self._group_id),
            **describe(error),
            ATTEMPTS: attempts.to_bytes(4, "big", signed=True),
            BACKOFF_TIMESTAMP: _shortest(int((self._now() + delay) * 1000)),
            ORIGINAL_TIMESTAMP: _shortest(message.timestamp_ms if first is None else first),
        }
        headers = replaced(message.headers, added)
        later = OutgoingMessage(topic, message.key, message.value, headers, message.partition)
        await send_beside(self._producer, later)


def _number(headers: Headers, name: str) -> int | None:
    found = next((value for key, value in reversed(headers) if key == name), None)
    return int.from_bytes(found, "big", signed=True) if found and len(found) <= 8 else None


def _shortest(number: int) -> bytes:
    """Return `number` as Java's `BigInteger.toByteArray` does."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
