"""A handler that blocks its thread for longer than the session costs neither the membership nor the commit."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage, TopicPartition
from cqrs.messaging.subscriber import Subscriber
from cqrs.threads import HandlerThreads, in_thread

SECONDS = 60.0
SESSION_SECONDS = 6.0
BLOCKED_SECONDS = 10.0


@pytest.mark.asyncio
async def test_membership_and_commit_survive_ten_seconds_in_a_thread(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
) -> None:
    (topic,) = create_topics("blocking")
    await producers().send(OutgoingMessage(topic, b"k", b"v"))
    runs: list[bytes | None] = []
    done = asyncio.Event()

    def block() -> None:
        threading.Event().wait(BLOCKED_SECONDS)

    async def handle(delivery: Delivery) -> Outcome:
        runs.append(delivery.message.value)
        await in_thread(block)
        done.set()
        return HANDLED

    threads = HandlerThreads(1)
    threads.use()
    consumer = consumers(topic, session_timeout_seconds=SESSION_SECONDS)
    subscriber = Subscriber(consumer, handle, backoff=Backoff(0.1, 1.0), commit_seconds=0.1)
    running = asyncio.create_task(subscriber.run())
    await asyncio.wait_for(done.wait(), SECONDS)
    assert subscriber.assigned.is_set(), "the group still counts this member in"
    subscriber.stop()
    await asyncio.wait_for(running, SECONDS)
    threads.stop()

    again = consumers(topic)
    found: dict[TopicPartition, int] = {}

    class Positions:
        async def on_assigned(self, committed: object) -> None:
            found.update({place: at.offset for place, at in committed.items() if at})  # type: ignore[attr-defined]

        async def on_revoked(self, partitions: object) -> None: ...

    await again.start(Positions())
    async with asyncio.timeout(SECONDS):
        while not found:
            await again.poll(0.2)
    assert found == {TopicPartition(topic, 0): 1}
    assert runs == [b"v"]
