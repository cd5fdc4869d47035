"""A reader beside all groups: everything from now on, each record once, whatever the brokers do."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.topic_reader import KafkaTopicReader
from cqrs.messaging.invalidation import Reading, TopicReader
from cqrs.messaging.message import Message, OutgoingMessage
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

TOPIC = "orders.commands"
MakeProducer = Callable[..., KafkaProducer]
MakeReader = Callable[..., KafkaTopicReader]
OFFSET_OUT_OF_RANGE, TOPIC_DENIED = 1, 29


@pytest_asyncio.fixture
async def readers(broker: EmbeddedBroker) -> AsyncIterator[MakeReader]:
    async with AsyncExitStack() as stack:

        def make(*topics: str, **options: object) -> KafkaTopicReader:
            defaults: dict[str, object] = {
                "bootstrap_servers": broker.bootstrap_servers,
                "fetch_max_wait_seconds": 0.02,
            }
            reader = KafkaTopicReader(topics or [TOPIC], **(defaults | options))  # type: ignore[arg-type]
            stack.push_async_callback(reader.stop)
            return reader

        yield make


async def send(producer: KafkaProducer, *values: bytes, partition: int = 0, topic: str = TOPIC) -> None:
    for value in values:
        await producer.send(OutgoingMessage(topic, b"k", value, partition=partition))


async def read(reader: TopicReader, count: int) -> list[Message]:
    """Read until there are `count` records, waiting out what is away; nothing may have been missed."""
    found: list[Message] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            try:
                reading = await reader.poll(0.1)
            except DependencyUnavailableException:
                continue
            assert not reading.missed
            found += reading.messages
    return found


async def until_missed(reader: TopicReader) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await reader.poll(0.1)).missed:
                    return
            except DependencyUnavailableException:
                continue


@pytest.mark.asyncio
async def test_every_partition_of_every_topic_is_read_from_its_end_on(
    broker: EmbeddedBroker, producers: MakeProducer, readers: MakeReader
) -> None:
    broker.create_topic("other")
    producer = producers()
    for partition in range(3):
        await send(producer, b"old", partition=partition)
    reader: TopicReader = readers(TOPIC, "other")
    await reader.start()
    await reader.start()
    for partition in range(3):
        await send(producer, b"%d" % partition, partition=partition)
    await send(producer, b"other", topic="other")

    assert await reader.poll(5) == Reading(missed=True)
    found = await read(reader, 4)
    assert sorted((m.topic, m.partition, m.value) for m in found) == [
        *((TOPIC, partition, b"%d" % partition) for partition in range(3)),
        ("other", 0, b"other"),
    ]
    assert not (await reader.poll(0.05)).messages


@pytest.mark.asyncio
async def test_two_readers_both_read_everything(producers: MakeProducer, readers: MakeReader) -> None:
    pair = readers(), readers()
    for reader in pair:
        await until_missed(reader)
    await send(producers(), b"1", b"2")
    for reader in pair:
        assert [m.value for m in await read(reader, 2)] == [b"1", b"2"]


@pytest.mark.asyncio
async def test_an_outage_loses_nothing(
    broker: EmbeddedBroker, producers: MakeProducer, readers: MakeReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    reader = readers(silence_seconds=0.5, reconnect_seconds=600)
    await until_missed(reader)
    producer = producers()
    await send(producer, b"1")
    assert [m.value for m in await read(reader, 1)] == [b"1"]
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"orders\.commands: no fetch was answered"):
        await asyncio.wait_for(_poll_for_ever(reader), 20)
    broker.broker_up()
    await send(producer, b"2", b"3")
    assert [m.value for m in await read(reader, 2)] == [b"2", b"3"]


@pytest.mark.asyncio
async def test_a_client_that_is_replaced_goes_on_where_the_last_one_was(
    broker: EmbeddedBroker, producers: MakeProducer, readers: MakeReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    reader = readers(silence_seconds=0.1, reconnect_seconds=0.1, start_timeout_seconds=1)
    await until_missed(reader)
    producer = producers()
    await send(producer, b"1", b"2")
    assert len(await read(reader, 2)) == 2
    first = reader._client
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException):
        await asyncio.wait_for(_poll_for_ever(reader), 20)
    assert reader._client is None
    with pytest.raises(DependencyUnavailableException):
        await reader.poll(0.1)
    broker.broker_up()
    reader._silence = reader._reconnect = 60
    await send(producer, b"3")
    assert [m.value for m in await read(reader, 1)] == [b"3"]
    assert reader._client is not first


@pytest.mark.asyncio
async def test_new_partitions_are_read_from_their_beginning(
    producers: MakeProducer, readers: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {0}
    monkeypatch.setattr(TolerantConsumer, "partitions_for_topic", lambda self, topic: set(known))
    producer = producers()
    await send(producer, b"0-old")
    reader = readers()
    await until_missed(reader)
    await send(producer, b"2-first", partition=2)
    await send(producer, b"0-new")
    assert [m.value for m in await read(reader, 1)] == [b"0-new"]
    known |= {1, 2}
    await send(producer, b"0-newer")
    assert {m.value for m in await read(reader, 2)} == {b"2-first", b"0-newer"}
    await reader._close()  # the next client finds them by itself
    known |= {3}
    await send(producer, b"2-second", partition=2)
    assert [m.value for m in await read(reader, 1)] == [b"2-second"]


@pytest.mark.asyncio
async def test_records_that_were_deleted_unread_are_reported(
    producers: MakeProducer, readers: MakeReader, caplog: pytest.LogCaptureFixture
) -> None:
    reader = readers()
    await until_missed(reader)
    producer = producers()
    await send(producer, b"1")
    await read(reader, 1)
    await reader._close()
    reader._positions = {place: offset + 1000 for place, offset in reader._positions.items()}
    await until_missed(reader)
    assert "were deleted before they were read" in caplog.text
    await send(producer, b"2")
    assert [m.value for m in await read(reader, 1)] == [b"2"]


@pytest.mark.asyncio
async def test_an_error_of_the_broker_replaces_the_client(
    broker: EmbeddedBroker, producers: MakeProducer, readers: MakeReader
) -> None:
    reader = readers()
    await until_missed(reader)
    broker.fail_requests(ApiKey.FETCH, TOPIC_DENIED)
    await send(producers(), b"1")
    assert [m.value for m in await read(reader, 1)] == [b"1"]


@pytest.mark.asyncio
async def test_a_broker_that_is_away_at_the_start_is_said_in_time(
    broker: EmbeddedBroker, readers: MakeReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    broker.broker_down()
    reader = readers(start_timeout_seconds=0.5)
    with pytest.raises(DependencyUnavailableException, match=r"reading orders\.commands"):
        await asyncio.wait_for(reader.start(), 10)
    await reader.stop()


@pytest.mark.asyncio
async def test_stopping_twice_and_stopping_while_the_broker_is_away_end_in_time(
    broker: EmbeddedBroker, readers: MakeReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")
    reader = readers()
    await until_missed(reader)
    broker.broker_down()
    await asyncio.wait_for(reader.stop(), 10)
    await reader.stop()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def _poll_for_ever(reader: TopicReader) -> None:
    while True:
        await reader.poll(0.05)
