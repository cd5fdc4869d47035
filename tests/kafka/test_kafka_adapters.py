"""The Kafka adapters keep the promises of their ports on a real Apache Kafka."""

import asyncio
import logging
import os
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer as OutsideProducer

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.testing.contracts.transport import RecordingListener, read
from cqrs.testing.kafka_server import KafkaServer

CreateTopics = Callable[..., list[str]]
MakeProducer = Callable[..., KafkaProducer]
MakeConsumer = Callable[..., KafkaConsumer]


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read(
    create_topics: CreateTopics, consumers: MakeConsumer, kafka_bootstrap: str, codec: str
) -> None:
    [topic] = create_topics("compressed")
    outside = OutsideProducer({"bootstrap.servers": kafka_bootstrap, "compression.codec": codec, "linger.ms": 50})
    for number in range(100):
        outside.produce(topic, b"x" * 500, headers=[("n", b"%d" % number)])
    outside.flush(10)
    consumer = consumers(topic)
    await consumer.start(RecordingListener())
    assert [m.headers for m in await read(consumer, 100)] == [(("n", b"%d" % n),) for n in range(100)]


@pytest.mark.asyncio
async def test_poison_names_lose_nothing_and_keep_the_order(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("poison", partitions=2)
    producer, consumer = producers(), consumers(topic, max_poll_records=7)
    for number in range(60):
        headers = (("\udcff", b"x"),) if number % 5 == 0 else (("good", b"x"),)
        await producer.send(OutgoingMessage(topic, b"k", b"%d" % number, headers, partition=number % 2))
    await consumer.start(RecordingListener())
    found = await read(consumer, 60)
    assert [int(m.value or b"") for m in found if m.partition == 0] == list(range(0, 60, 2))
    assert [int(m.value or b"") for m in found if m.partition == 1] == list(range(1, 60, 2))


@pytest.mark.asyncio
async def test_what_an_aborted_transaction_wrote_is_not_read(
    create_topics: CreateTopics, consumers: MakeConsumer, kafka_bootstrap: str
) -> None:
    [topic] = create_topics("transactions")
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic) as outside:
        for ending in (outside.abort_transaction, outside.commit_transaction):
            await outside.begin_transaction()
            await outside.send_and_wait(topic, ending.__name__.encode())
            await ending()
    consumer = consumers(topic)
    await consumer.start(RecordingListener())
    assert [m.value for m in await read(consumer, 1)] == [b"commit_transaction"]


@pytest.mark.asyncio
async def test_what_the_broker_refuses_is_unpublishable(create_topics: CreateTopics, producers: MakeProducer) -> None:
    [small], [compacted] = (
        create_topics("small", max_message_bytes="1000"),
        create_topics("c", cleanup_policy="compact"),
    )
    producer = producers()
    for refused in (
        OutgoingMessage(small, b"k", b"x" * 2_000),
        OutgoingMessage(compacted, None, b"a compacted topic wants keys"),
        OutgoingMessage("no-such-topic", b"k", b"v"),
    ):
        with pytest.raises(UnpublishableEventException):
            await producer.send(refused)
    assert "no-such-topic" not in await producer.topics()


@pytest.mark.asyncio
async def test_a_dead_letter_is_judged_by_the_broker_and_compressed(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [small] = create_topics("small", max_message_bytes="1000")
    [usual] = create_topics("usual")
    dead = (("kafka_dlt-original-topic", b"orders"),)
    producer = producers(max_message_bytes=1_000)
    for topic, size in ((small, 5_000), (small, 200_000), (usual, 40_000_000)):
        await producer.send(OutgoingMessage(topic, b"k", b"x" * size, dead))
    async with asyncio.timeout(10):
        for topic, size in ((small, 5_000), (small, 200_000), (usual, 2_000_000)):
            with pytest.raises(UnpublishableEventException, match="the broker refuses it"):
                await producer.send(OutgoingMessage(topic, b"k", os.urandom(size), dead))
    consumer = consumers(small)
    await consumer.start(RecordingListener())
    assert [len(m.value or b"") for m in await read(consumer, 2)] == [5_000, 200_000]


@pytest.mark.asyncio
async def test_a_refused_message_does_not_drag_its_batch_along(
    create_topics: CreateTopics, producers: MakeProducer
) -> None:
    [compacted] = create_topics("compacted", cleanup_policy="compact")
    producer = producers()
    await producer.start()
    keys = [None if n == 5 else b"%d" % n for n in range(20)]
    sends = (producer.send(OutgoingMessage(compacted, key, b"v", partition=0)) for key in keys)
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    refused = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
    assert refused == [5]
    assert isinstance(outcomes[5], UnpublishableEventException)


@pytest.mark.asyncio
async def test_topics_are_listed_without_being_created(create_topics: CreateTopics, producers: MakeProducer) -> None:
    [one], [three] = create_topics("one"), create_topics("three", partitions=3)
    topics = await producers().topics()
    assert (topics[one], topics[three]) == (1, 3)


@pytest.mark.asyncio
async def test_a_commit_of_lost_partitions_is_dropped(
    create_topics: CreateTopics, consumers: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    [topic, foreign] = create_topics("mine", "foreign")
    consumer = consumers(topic)
    await consumer.start(RecordingListener())
    with caplog.at_level(logging.WARNING, logger="cqrs"):
        await consumer.commit({TopicPartition(foreign, 0): Position(1)})
    assert f"took {foreign}[0] away" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_broker_that_goes_away_is_reported_and_found_again(
    kafka_server: KafkaServer, create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer, how: str
) -> None:
    [topic] = create_topics("bounce")
    producer = producers(send_timeout_seconds=1.0)
    consumer = consumers(topic, silence_seconds=0.5, request_timeout_seconds=1.0)
    await consumer.start(RecordingListener())
    await producer.send(OutgoingMessage(topic, b"k", b"before"))
    assert [m.value for m in await read(consumer, 1)] == [b"before"]
    await consumer.commit({TopicPartition(topic, 0): Position(1)})
    await asyncio.to_thread(getattr(kafka_server, how))
    with pytest.raises(DependencyUnavailableException):
        await producer.send(OutgoingMessage(topic, b"k", b"given up"))
    with pytest.raises(DependencyUnavailableException):
        await read(consumer, 1)
    with pytest.raises(DependencyUnavailableException):
        await consumer.commit({TopicPartition(topic, 0): Position(1)})
    await asyncio.to_thread(kafka_server.start)
    await producer.send(OutgoingMessage(topic, b"k", b"after"))
    assert [m.value for m in await read(consumer, 1, patiently=True)] == [b"after"]


@pytest.mark.asyncio
async def test_clients_stop_in_time_with_the_broker_away(
    kafka_server: KafkaServer, create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("away")
    producer, consumer = producers(stop_timeout_seconds=0.5), consumers(topic, stop_timeout_seconds=0.5)
    await consumer.start(RecordingListener())
    await producer.start()
    await asyncio.to_thread(kafka_server.kill)
    async with asyncio.timeout(6):
        await consumer.stop()
        await producer.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
