"""A member with a name of its own that restarts within its session has its partitions back, and nobody else notices."""

import asyncio
from collections.abc import Callable, Collection, Mapping

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition

SECONDS = 60.0


class Listener:
    """Note every assignment."""

    def __init__(self) -> None:
        self.assignments: list[frozenset[TopicPartition]] = []
        self._told = asyncio.Condition()

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.assignments.append(frozenset(committed))
        async with self._told:
            self._told.notify_all()

    async def on_revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    async def until(self, count: int) -> frozenset[TopicPartition]:
        """Wait for an assignment of this many partitions."""
        async with asyncio.timeout(SECONDS), self._told:
            await self._told.wait_for(lambda: bool(self.assignments) and len(self.assignments[-1]) == count)
        return self.assignments[-1]


async def poll(consumer: KafkaConsumer) -> None:
    while True:
        await consumer.poll(0.2)


@pytest.mark.asyncio
async def test_a_restart_within_the_session_moves_no_partition(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
) -> None:
    [topic] = create_topics("orders", partitions=4)
    names = {"group_id": f"static {topic}", "session_timeout_seconds": 30.0}
    stays, restarts, again = Listener(), Listener(), Listener()
    first = consumers(topic, group_instance_id="orders-0", **names)
    second = consumers(topic, group_instance_id="orders-1", **names)
    await first.start(stays)
    polling = asyncio.create_task(poll(first))
    try:
        await second.start(restarts)
        other = asyncio.create_task(poll(second))
        mine, kept = await restarts.until(2), await stays.until(2)
        other.cancel()
        await second.stop()
        seen = len(stays.assignments)

        comes_back = consumers(topic, group_instance_id="orders-1", **names)
        await comes_back.start(again)
        assert await again.until(2) == mine

        place = min(mine, key=lambda each: each.partition)
        producer = producers()
        await producer.start()
        await producer.send(OutgoingMessage(topic, key=b"k", value=b"v", partition=place.partition))
        async with asyncio.timeout(SECONDS):
            while not (records := await comes_back.poll(0.2)):
                pass
        assert [(record.topic, record.partition) for record in records] == [(place.topic, place.partition)]
        assert len(stays.assignments) == seen, "the one that stayed was asked to join again"
        assert stays.assignments[-1] == kept
    finally:
        polling.cancel()


@pytest.mark.asyncio
async def test_without_a_name_the_group_is_told_of_the_leaving(
    create_topics: Callable[..., list[str]], consumers: Callable[..., KafkaConsumer]
) -> None:
    """What the test above would see, were the name not used."""
    [topic] = create_topics("orders", partitions=4)
    stays, leaves = Listener(), Listener()
    first, second = consumers(topic), consumers(topic)
    await first.start(stays)
    polling = asyncio.create_task(poll(first))
    try:
        await second.start(leaves)
        other = asyncio.create_task(poll(second))
        await stays.until(2)
        other.cancel()
        await second.stop()

        assert len(await stays.until(4)) == 4
    finally:
        polling.cancel()
