"""The consumer in memory does what the port says and what the adapter on Kafka does."""

import asyncio
from collections.abc import Mapping

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.testing.memory import MemoryBroker, MemoryConsumer

P0, P1, P2 = (TopicPartition("c", number) for number in range(3))
AWAY = DependencyUnavailableException("kafka", "away")


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.consumer: MemoryConsumer | None = None

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.told.append(("assigned", dict(committed)))

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.told.append(("revoked", partitions))
        if self.consumer is not None:
            await self.consumer.commit({P0: Position(2, "in time")})


async def fill(broker: MemoryBroker, partition: TopicPartition, count: int) -> None:
    for number in range(count):
        await broker.append(OutgoingMessage("c", None, b"%d" % number, partition=partition.partition))


async def started(broker: MemoryBroker) -> tuple[MemoryConsumer, Listener]:
    consumer, listener = MemoryConsumer(broker, ["c"]), Listener()
    await consumer.start(listener)
    return consumer, listener


async def offsets(
    consumer: MemoryConsumer, partitions: list[TopicPartition] | None = None, most: int | None = None
) -> list[tuple[int, int]]:
    return [(each.partition, each.offset) for each in await consumer.poll(0.001, partitions, most)]


@pytest.mark.asyncio
async def test_it_begins_at_the_committed_positions_and_says_what_stands_beside_them() -> None:
    broker = MemoryBroker({"c": 2})
    await fill(broker, P0, 3)
    await fill(broker, P1, 1)
    broker.committed[P0] = Position(2, "noted")
    consumer, listener = await started(broker)
    assert listener.told == [("assigned", {P0: Position(2, "noted"), P1: None})]
    assert await offsets(consumer) == [(0, 2), (1, 0)]
    await consumer.start(listener)
    assert len(listener.told) == 1


@pytest.mark.asyncio
async def test_only_wanted_partitions_are_read_and_at_most_what_is_asked() -> None:
    broker = MemoryBroker({"c": 3})
    for partition in (P0, P1):
        await fill(broker, partition, 3)
    consumer, _ = await started(broker)
    assert await offsets(consumer, [P2]) == []
    assert await offsets(consumer, [TopicPartition("other", 0)]) == []
    assert await offsets(consumer, []) == []
    assert await offsets(consumer, None, 0) == []
    assert await offsets(consumer, [P1], 2) == [(1, 0), (1, 1)]
    assert await offsets(consumer) == [(0, 0), (0, 1), (0, 2), (1, 2)]


@pytest.mark.asyncio
async def test_a_limit_is_shared_by_turns() -> None:
    broker = MemoryBroker({"c": 2})
    for partition in (P0, P1):
        await fill(broker, partition, 3)
    consumer, _ = await started(broker)
    found = [each for _ in range(4) for each in await offsets(consumer, None, 1)]
    assert found == [(0, 0), (1, 0), (0, 1), (1, 1)]


@pytest.mark.asyncio
async def test_a_poll_waits_for_what_it_wants_and_not_for_more() -> None:
    broker = MemoryBroker({"c": 2})
    consumer, _ = await started(broker)
    polling = asyncio.create_task(consumer.poll(5, [P1]))
    await fill(broker, P0, 1)
    await asyncio.sleep(0)
    assert not polling.done()
    await fill(broker, P1, 1)
    assert [each.partition for each in await polling] == [1]


@pytest.mark.asyncio
async def test_records_of_an_assignment_that_ended_are_not_returned_and_come_again() -> None:
    broker = MemoryBroker({"c": 1})
    await fill(broker, P0, 3)
    consumer, _ = await started(broker)
    assert len(await offsets(consumer)) == 3
    polling = asyncio.create_task(consumer.poll(5))
    await asyncio.sleep(0)
    await consumer.reassign(frozenset({P0}))
    await fill(broker, P0, 1)
    assert list(await polling) == []
    assert await offsets(consumer) == [(0, 0), (0, 1), (0, 2), (0, 3)]


@pytest.mark.asyncio
async def test_a_commit_counts_until_the_listener_has_given_the_partition_back() -> None:
    broker = MemoryBroker({"c": 2})
    consumer, listener = await started(broker)
    listener.consumer = consumer
    await consumer.reassign(frozenset({P1}))
    assert listener.told[1:] == [("revoked", {P0, P1}), ("assigned", {P1: None})]
    await consumer.commit({P0: Position(9), P1: Position(1)})
    assert broker.committed == {P0: Position(2, "in time"), P1: Position(1)}
    await consumer.stop()
    await consumer.commit({P1: Position(5)})
    assert broker.committed[P1] == Position(1)
    assert consumer.stopped


@pytest.mark.asyncio
async def test_it_fails_as_told_and_only_then() -> None:
    broker = MemoryBroker({"c": 1})
    await fill(broker, P0, 1)
    consumer = MemoryConsumer(broker, ["c"])
    consumer.start_failures, consumer.failures, consumer.commit_failures = [AWAY], [AWAY], [AWAY]
    with pytest.raises(RuntimeError, match="needs start"):
        await consumer.reassign(frozenset())
    for _ in range(2):
        for deed in (consumer.start(Listener()), consumer.poll(0), consumer.commit({P0: Position(1)})):
            if consumer.start_failures or consumer.failures or consumer.commit_failures:
                with pytest.raises(DependencyUnavailableException):
                    await deed
            else:
                await deed
    assert consumer.polls == 2
    assert broker.committed == {P0: Position(1)}


@pytest.mark.asyncio
async def test_metadata_that_no_broker_takes_is_refused() -> None:
    broker = MemoryBroker({"c": 1})
    consumer, _ = await started(broker)
    await consumer.commit({P0: Position(1, "x" * 4_096)})
    with pytest.raises(DependencyUnavailableException, match="commit metadata"):
        await consumer.commit({P0: Position(2, "é" * 2_049)})
    assert broker.committed[P0].offset == 1
