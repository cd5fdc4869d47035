"""Publishing keeps its order on brokers that fail: every module of it together, over real sockets."""

import asyncio
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer as OutsideConsumer
from confluent_kafka import TopicPartition as OutsidePartition

from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Receipt
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

TOPIC = "orders.events"
PARTITIONS = 3
KEYS = [b"key %d" % number for number in range(10)]
NOT_LEADER, OUT_OF_ORDER, INVALID_RECORD, NOT_ENOUGH_REPLICAS = 6, 45, 87, 19


@pytest.fixture
def cluster() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(brokers=3) as running:
        running.create_topic(TOPIC, PARTITIONS, replication_factor=3)
        yield running


class Sender:
    """Send numbered messages without waiting for one of them, in the background."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer
        self.sends: list[asyncio.Task[Receipt]] = []

    def send(self, count: int) -> None:
        for number in range(len(self.sends), len(self.sends) + count):
            message = OutgoingMessage(TOPIC, KEYS[number % len(KEYS)], b"%d" % number)
            self.sends.append(asyncio.create_task(self._producer.send(message)))

    async def until_acknowledged(self, number: int) -> None:
        async with asyncio.timeout(20):
            await self.sends[number]

    async def receipts(self) -> list[Receipt]:
        async with asyncio.timeout(20):
            return await asyncio.gather(*self.sends)


def read(cluster: EmbeddedBroker) -> list[list[tuple[bytes | None, int]]]:
    """Return the key and the number of every record, by partition, as another library reads them."""
    outside = OutsideConsumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "outside"})
    try:
        logs = []
        for partition in range(PARTITIONS):
            _, end = outside.get_watermark_offsets(OutsidePartition(TOPIC, partition), timeout=10)
            outside.assign([OutsidePartition(TOPIC, partition, 0)])
            found: list[tuple[bytes | None, int]] = []
            while len(found) < end:
                found += [(each.key(), int(each.value() or b"")) for each in outside.consume(end - len(found), 10)]
            logs.append(found)
        return logs
    finally:
        outside.close()


async def check(sender: Sender, cluster: EmbeddedBroker) -> None:
    """Each is where its receipt says, and each key in order; a record that is repeated, this broker stores twice."""
    receipts = await sender.receipts()
    logs = await asyncio.to_thread(read, cluster)
    for number, receipt in enumerate(receipts):
        assert logs[receipt.partition][receipt.offset] == (KEYS[number % len(KEYS)], number)
    for key in KEYS:
        numbers = [number for log in logs for found, number in log if found == key]
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == sorted(first_seen)


@pytest.mark.asyncio
async def test_leaders_that_move_under_load(cluster: EmbeddedBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    sender = Sender(producer)
    for turn in range(6):
        sender.send(300)
        await sender.until_acknowledged(300 * turn)
        for partition in range(PARTITIONS):
            cluster.move_leader(TOPIC, partition, (turn + partition) % 3 + 1)
    await check(sender, cluster)
    await producer.stop()


@pytest.mark.asyncio
async def test_brokers_that_go_away_and_come_back_under_load(cluster: EmbeddedBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    sender = Sender(producer)
    await producer.start()
    client = producer._producers.usual.producer
    assert client is not None
    for broker in (1, 2, 3, None):
        sender.send(300)
        await sender.until_acknowledged(len(sender.sends) - 300)
        cluster.broker_down(broker)
        sender.send(300)
        # Asked and answered, or not: by now something was tried that failed.
        await client.client.force_metadata_update()
        sender.send(300)
        cluster.broker_up(broker)
    await check(sender, cluster)
    await producer.stop()


@pytest.mark.asyncio
async def test_refusals_and_passing_troubles_under_load(cluster: EmbeddedBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    sender = Sender(producer)
    await producer.start()
    for code in (INVALID_RECORD, NOT_LEADER, OUT_OF_ORDER, NOT_ENOUGH_REPLICAS):
        sender.send(100)
        await sender.until_acknowledged(len(sender.sends) - 100)
        cluster.delay_answers(20)
        sender.send(100)
        cluster.fail_requests(ApiKey.PRODUCE, code)
        await asyncio.sleep(0)
        sender.send(100)
        cluster.delay_answers(0)
    await check(sender, cluster)
    await producer.stop()
