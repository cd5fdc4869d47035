"""What is sent is stored once and in order per key, whatever happens to batches and brokers, on a real Apache Kafka."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from aiokafka.structs import TopicPartition
from confluent_kafka import Consumer as OutsideConsumer
from confluent_kafka import Message as OutsideMessage
from confluent_kafka import Producer as OutsideProducer
from confluent_kafka import TopicPartition as OutsidePartition

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Receipt
from cqrs.testing.kafka_server import KafkaServer

CreateTopics = Callable[..., list[str]]
MakeProducer = Callable[..., KafkaProducer]
Sends = dict[bytes, asyncio.Task[Receipt]]

KEYS = [b"key %d" % number for number in range(20)]
SURROGATE = (("\udcff", b"x"),)


@dataclass
class Log:
    """Hold what another library reads of a topic, by partition."""

    partitions: list[list[tuple[bytes | None, bytes | None]]]

    def values(self, key: bytes | None) -> list[int]:
        """Return the numbers that were sent with `key`, in the order in which they are stored."""
        return [int(value or b"") for log in self.partitions for found, value in log if found == key]

    def at(self, receipt: Receipt) -> bytes | None:
        return self.partitions[receipt.partition][receipt.offset][1]


def read(servers: str, topic: str, partitions: int) -> Log:
    outside = OutsideConsumer({"bootstrap.servers": servers, "group.id": "outside", "enable.auto.commit": False})
    try:
        logs: list[list[tuple[bytes | None, bytes | None]]] = []
        for partition in range(partitions):
            _, end = outside.get_watermark_offsets(OutsidePartition(topic, partition), timeout=10)
            outside.assign([OutsidePartition(topic, partition, 0)])
            found: list[OutsideMessage] = []
            while len(found) < end:
                found += outside.consume(end - len(found), timeout=10)
            logs.append([(record.key(), record.value()) for record in found])
        return Log(logs)
    finally:
        outside.close()


def send(producer: KafkaProducer, topic: str, numbers: Iterable[int]) -> Sends:
    """Call `send` for each number, without waiting for one of them; every seventh cannot be in aiokafka's batches."""
    return {
        b"%d" % number: asyncio.create_task(
            producer.send(
                OutgoingMessage(topic, KEYS[number % len(KEYS)], b"%d" % number, () if number % 7 else SURROGATE)
            )
        )
        for number in numbers
    }


async def check(sends: Sends, servers: str, topic: str, partitions: int) -> None:
    """Every message was acknowledged, is stored once, where its receipt says, and in the order of its key."""
    receipts = dict(zip(sends, await asyncio.gather(*sends.values()), strict=True))
    log = await asyncio.to_thread(read, servers, topic, partitions)
    assert sum(map(len, log.partitions)) == len(sends)
    assert all(log.at(receipt) == value for value, receipt in receipts.items())
    for key in KEYS:
        assert log.values(key) == sorted(log.values(key))


@pytest.mark.asyncio
async def test_calls_that_overlap_are_stored_in_their_order(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [topic] = create_topics("burst", partitions=3)
    await check(send(producers(), topic, range(5_000)), kafka_bootstrap, topic, 3)


@pytest.mark.asyncio
@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_are_compressed(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer, compression: str
) -> None:
    [topic] = create_topics("compressed", partitions=2)
    await check(send(producers(compression=compression), topic, range(500)), kafka_bootstrap, topic, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_broker_that_goes_away_under_load_costs_neither_order_nor_a_message_nor_a_repetition(
    kafka_server: KafkaServer, create_topics: CreateTopics, producers: MakeProducer, how: str
) -> None:
    [topic] = create_topics("bounced", partitions=3)
    producer = producers(send_timeout_seconds=60.0, request_timeout_seconds=2.0)
    await producer.start()
    client = producer._producers.usual.producer
    sends = send(producer, topic, range(20))
    is_back = asyncio.Event()

    async def keep_sending() -> None:
        while not is_back.is_set():
            sends.update(send(producer, topic, range(len(sends), len(sends) + 20)))
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(keep_sending())
    for _ in range(2):
        async with asyncio.timeout(30):
            await asyncio.gather(*list(sends.values())[-20:])
        await asyncio.to_thread(getattr(kafka_server, how))
        await asyncio.to_thread(kafka_server.start)
    is_back.set()
    await sending
    async with asyncio.timeout(60):
        await check(sends, kafka_server.bootstrap_servers, topic, 3)
    assert producer._producers.usual.producer is client, "one client brought it all about"


@pytest.mark.asyncio
async def test_refused_messages_among_others_cost_only_themselves_and_no_order(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [compacted] = create_topics("compacted", cleanup_policy="compact")
    producer = producers()
    await producer.start()
    keys = [None if number % 25 == 5 else b"k" for number in range(200)]
    outcomes = await asyncio.gather(
        *(producer.send(OutgoingMessage(compacted, key, b"%d" % number)) for number, key in enumerate(keys)),
        return_exceptions=True,
    )
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, UnpublishableEventException)]
    assert refused == list(range(5, 200, 25))
    log = await asyncio.to_thread(read, kafka_bootstrap, compacted, 1)
    assert log.values(b"k") == [number for number in range(200) if number % 25 != 5]


@pytest.mark.asyncio
async def test_a_batch_that_is_too_large_is_sent_message_by_message(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [small] = create_topics("small", max_message_bytes="500")
    producer = producers()
    await producer.start()
    values = [b"%010d" % number * 20 for number in range(40)]
    receipts = await asyncio.gather(*(producer.send(OutgoingMessage(small, b"k", value)) for value in values))
    assert [receipt.offset for receipt in receipts] == list(range(40))
    log = await asyncio.to_thread(read, kafka_bootstrap, small, 1)
    assert [value for _, value in log.partitions[0]] == values


@pytest.mark.asyncio
async def test_a_client_whose_numbers_the_broker_does_not_expect_is_replaced(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [topic] = create_topics("numbers")
    producer = producers()
    sends = send(producer, topic, range(50))
    await asyncio.gather(*sends.values())
    client = producer._producers.usual.producer
    assert client is not None
    client._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 7)
    sends |= send(producer, topic, range(50, 100))
    await check(sends, kafka_bootstrap, topic, 1)
    assert producer._producers.usual.producer is not client


@pytest.mark.asyncio
async def test_keys_go_where_other_clients_send_them(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [topic] = create_topics("partitioned", partitions=7)
    keys = [b"", b"k", *(b"order-%d" % number for number in range(50)), b"\xff" * 300]
    outside = OutsideProducer({"bootstrap.servers": kafka_bootstrap, "partitioner": "murmur2"})
    theirs: dict[bytes | None, int | None] = {}

    def delivered(_: object, record: OutsideMessage) -> None:
        theirs[record.key() or b""] = record.partition()

    for key in keys:
        outside.produce(topic, b"v", key, on_delivery=delivered)
    await asyncio.to_thread(outside.flush, 10)
    producer = producers()
    receipts = await asyncio.gather(*(producer.send(OutgoingMessage(topic, key, b"v")) for key in keys))
    assert {key: receipt.partition for key, receipt in zip(keys, receipts, strict=True)} == theirs
