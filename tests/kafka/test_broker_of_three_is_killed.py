"""One broker of three is killed under load: nothing is lost, doubled or out of order, and nothing waits for it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.subscriber import Subscriber
from cqrs.testing.kafka_cluster import KafkaCluster
from tests.conftest import MEASURED

SECONDS = 120.0
RECORDS = 6_000
KEYS = 50
TOPICS = ("in", "out")


@pytest.fixture
def cluster(kafka_cluster: KafkaCluster) -> KafkaCluster:
    admin = AdminClient({"bootstrap.servers": kafka_cluster.bootstrap_servers})
    new = [NewTopic(each, num_partitions=6, replication_factor=3) for each in TOPICS]
    for created in admin.create_topics(new).values():
        created.result(SECONDS)
    return kafka_cluster


class Copying:
    """Copy each record to the other topic, and wait for its acknowledgement, as a handler's event."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer
        self.done = 0
        self._changed = asyncio.Condition()

    async def __call__(self, delivery: Delivery) -> Outcome:
        message = delivery.message
        await self._producer.send(OutgoingMessage("out", message.key, message.value))
        async with self._changed:
            self.done += 1
            self._changed.notify_all()
        return HANDLED

    async def until(self, count: int) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.done >= count)


class Nobody:
    async def on_assigned(self, committed: object) -> None: ...
    async def on_revoked(self, partitions: object) -> None: ...


async def copies(bootstrap: str, count: int) -> dict[bytes | None, list[int]]:
    """Return what stands in the other topic, by key, in order."""
    consumer = KafkaConsumer(("out",), "readers", bootstrap_servers=bootstrap, session_timeout_seconds=6.0)
    found: dict[bytes | None, list[int]] = defaultdict(list)
    await consumer.start(Nobody())
    try:
        async with asyncio.timeout(SECONDS):
            quiet = 0
            while sum(map(len, found.values())) < count or quiet < 5:
                messages = await consumer.poll(0.2)
                quiet = 0 if messages else quiet + 1
                for message in messages:
                    found[message.key].append(int(message.value or b"-1"))
    finally:
        await consumer.stop()
    return found


@pytest.mark.asyncio
async def test_each_is_killed_in_turn_and_every_record_is_copied_once_in_order(
    cluster: KafkaCluster, record_property: Callable[[str, object], None]
) -> None:
    bootstrap = cluster.bootstrap_servers
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    await asyncio.gather(
        *(
            producer.send(OutgoingMessage("in", f"k{number % KEYS}".encode(), str(number).encode()))
            for number in range(RECORDS)
        )
    )
    copying = Copying(producer)
    consumer = KafkaConsumer(("in",), "copiers", bootstrap_servers=bootstrap, session_timeout_seconds=6.0)
    subscriber = Subscriber(consumer, copying, backoff=Backoff(0.05, 1.0), commit_seconds=0.2)
    running = asyncio.create_task(subscriber.run())
    for number, broker in enumerate(cluster.brokers):
        await copying.until(RECORDS * (number + 1) // 5)
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
    await copying.until(RECORDS)
    subscriber.stop()
    await asyncio.wait_for(running, SECONDS)
    await producer.stop()

    found = await copies(bootstrap, RECORDS)
    total = sum(map(len, found.values()))
    different = {number for numbers in found.values() for number in numbers}
    record_property(
        MEASURED,
        f"{RECORDS} records, 3 brokers killed in turn: {RECORDS - len(different)} lost, {total - RECORDS} doubled",
    )
    assert different == set(range(RECORDS))
    first_seen = {key: list(dict.fromkeys(numbers)) for key, numbers in found.items()}
    assert all(numbers == sorted(numbers) for numbers in first_seen.values())
    assert total - RECORDS <= 100, "only what was in hand may be done again"
