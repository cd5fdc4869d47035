"""The reader beside all groups, on a real Apache Kafka: added partitions, deleted records, restarts."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.topic_reader import KafkaTopicReader
from cqrs.messaging.invalidation import Reading
from cqrs.messaging.message import OutgoingMessage
from cqrs.testing.kafka_server import KafkaServer

CreateTopics = Callable[..., list[str]]
MakeProducer = Callable[..., KafkaProducer]


@pytest.fixture
def topic(create_topics: CreateTopics) -> str:
    [name] = create_topics("events", partitions=2)
    return name


@pytest_asyncio.fixture
async def reader(kafka_bootstrap: str, topic: str) -> AsyncIterator[KafkaTopicReader]:
    made = KafkaTopicReader([topic], bootstrap_servers=kafka_bootstrap, silence_seconds=2)
    yield made
    await made.stop()


async def until(reader: KafkaTopicReader, done: Callable[[list[bytes | None], bool], bool]) -> list[bytes | None]:
    """Poll until what was read, and whether anything was missed, is enough."""
    found: list[bytes | None] = []
    missed = False
    async with asyncio.timeout(60):
        while not done(found, missed):
            try:
                reading = await reader.poll(0.2)
            except DependencyUnavailableException:
                continue
            found += [message.value for message in reading.messages]
            missed = missed or reading.missed
    return found


async def send(producer: KafkaProducer, topic: str, value: bytes, partition: int = 0) -> None:
    await producer.send(OutgoingMessage(topic, None, value, partition=partition))


@pytest.mark.asyncio
async def test_partitions_that_are_added_are_read_from_their_beginning(
    kafka_bootstrap: str, topic: str, reader: KafkaTopicReader, producers: MakeProducer
) -> None:
    producer = producers()
    await send(producer, topic, b"old", 1)
    await reader.start()
    assert await reader.poll(1) == Reading(missed=True)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    await asyncio.to_thread(admin.create_partitions([NewPartitions(topic, 3)])[topic].result, 20)
    fresh = producers()  # one that knows the new partition at once
    await send(fresh, topic, b"first", 2)
    await send(fresh, topic, b"known", 1)

    assert sorted(filter(None, await until(reader, lambda found, _: len(found) == 2))) == [b"first", b"known"]


@pytest.mark.asyncio
async def test_records_deleted_unread_are_reported_and_reading_goes_on(
    kafka_bootstrap: str, topic: str, reader: KafkaTopicReader, producers: MakeProducer
) -> None:
    producer = producers()
    await reader.start()
    await reader.poll(1)
    await reader._close()  # away for a while
    for value in (b"1", b"2", b"3"):
        await send(producer, topic, value)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    [deleting] = admin.delete_records([TopicPartition(topic, 0, 3)]).values()
    await asyncio.to_thread(deleting.result, 20)

    await until(reader, lambda _, missed: missed)
    await send(producer, topic, b"4")
    assert await until(reader, lambda found, _: bool(found)) == [b"4"]


@pytest.mark.asyncio
async def test_a_broker_that_is_killed_and_started_again_costs_nothing(
    kafka_server: KafkaServer, topic: str, reader: KafkaTopicReader, producers: MakeProducer
) -> None:
    producer = producers()
    await reader.start()
    assert (await reader.poll(1)).missed
    await send(producer, topic, b"1")
    assert await until(reader, lambda found, _: bool(found)) == [b"1"]
    await asyncio.to_thread(kafka_server.kill)
    await asyncio.to_thread(kafka_server.start)
    await send(producers(), topic, b"2")
    assert await until(reader, lambda found, _: bool(found)) == [b"2"]
