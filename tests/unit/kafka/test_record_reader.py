"""Any stretch of a topic is read, beside all groups, to its end and no further."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.record_reader import RecordReader
from cqrs.messaging.message import TopicPartition
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create_topic("t", 2)
        producer = Producer({"bootstrap.servers": running.bootstrap_servers})
        for number in range(1_000):
            producer.produce("t", b"%d" % number, partition=number % 2)
        assert producer.flush(10) == 0
        yield running


def reader(broker: EmbeddedBroker, timeout_seconds: float = 5.0) -> RecordReader:
    return RecordReader(
        [FIRST, SECOND],
        bootstrap_servers=broker.bootstrap_servers,
        fetch_max_wait_seconds=0.02,
        timeout_seconds=timeout_seconds,
    )


async def values(records: RecordReader, partition: TopicPartition, start: int, stop: int) -> list[int]:
    return [int(each.value or b"") async for messages in records.read(partition, start, stop) for each in messages]


@pytest.mark.asyncio
async def test_stretches_are_read_in_any_order(broker: EmbeddedBroker) -> None:
    async with reader(broker) as records:
        assert await records.spans() == {FIRST: range(500), SECOND: range(500)}
        assert await values(records, SECOND, 3, 490) == list(range(7, 981, 2))
        assert await values(records, FIRST, 0, 500) == list(range(0, 1_000, 2))
        assert await values(records, FIRST, 499, 500) == [998]
        assert await values(records, FIRST, 10, 12) == [20, 22]
        assert await values(records, FIRST, 5, 5) == []


@pytest.mark.asyncio
async def test_one_record_is_found_or_not(broker: EmbeddedBroker) -> None:
    async with reader(broker) as records:
        found = await records.record(SECOND, 7)
        assert found is not None
        assert (found.place, found.value) == ("t[1]@7", b"15")
        assert await records.record(SECOND, 500) is None


@pytest.mark.asyncio
async def test_nothing_is_asked_for_nothing(broker: EmbeddedBroker) -> None:
    async with RecordReader([], bootstrap_servers=broker.bootstrap_servers) as records:
        assert await records.spans() == {}


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_told_in_time(broker: EmbeddedBroker) -> None:
    async with reader(broker, 0.5) as records:
        await records.spans()
        broker.broker_down()
        with pytest.raises(DependencyUnavailableException, match=r"t\[0\]"):
            await values(records, FIRST, 0, 500)
        with pytest.raises(DependencyUnavailableException, match="asking where t begin and end"):
            await records.spans()
    async with reader(broker, 0.5) as records:
        with pytest.raises(DependencyUnavailableException):
            await records.spans()


@pytest.mark.asyncio
async def test_reading_goes_on_over_an_error_that_passes(broker: EmbeddedBroker) -> None:
    async with reader(broker) as records:
        await records.spans()
        broker.fail_requests(ApiKey.FETCH, 6)  # NOT_LEADER_OR_FOLLOWER
        assert len(await values(records, FIRST, 0, 500)) == 500
