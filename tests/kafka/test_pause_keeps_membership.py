"""A member that takes nothing on for longer than its session stays in the group, and goes on where it stood."""

import asyncio
from collections.abc import Callable

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage, TopicPartition
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber

SECONDS = 60.0
SESSION_SECONDS = 6.0
RECORDS = 30


@pytest.mark.asyncio
async def test_a_full_buffer_for_longer_than_the_session_costs_neither_membership_nor_records(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
) -> None:
    (topic,) = create_topics("paused")
    producer, opened, done = producers(), asyncio.Event(), asyncio.Event()
    for number in range(RECORDS):
        await producer.send(OutgoingMessage(topic, b"k", str(number).encode()))
    seen: list[int] = []
    revoked: list[object] = []

    async def handle(delivery: Delivery) -> Outcome:
        await opened.wait()
        seen.append(int(delivery.message.value or b"-1"))
        if len(seen) == RECORDS:
            done.set()
        return HANDLED

    class Watched(Subscriber):
        async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
            revoked.append(partitions)
            await super().on_revoked(partitions)

    subscriber = Watched(
        consumers(topic, session_timeout_seconds=SESSION_SECONDS, silence_seconds=2.0, rejoin_seconds=4.0),
        handle,
        backoff=Backoff(0.05, 1.0),
        limits=Limits(max_in_flight=1, buffer=5, max_poll_records=5),
    )
    running = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(subscriber.assigned.wait(), SECONDS)
    await asyncio.sleep(SESSION_SECONDS * 2)  # the pause itself
    assert subscriber.assigned.is_set()
    assert subscriber.waiting_for is None, "a full buffer is no outage"
    assert revoked == []
    opened.set()
    await asyncio.wait_for(done.wait(), SECONDS)
    subscriber.stop()
    await asyncio.wait_for(running, SECONDS)
    assert seen == list(range(RECORDS))
