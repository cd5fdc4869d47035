import asyncio

import pytest
from aiokafka.structs import ConsumerRecord
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.kafka.membership import Membership, ours, theirs, to_message
from cqrs.messaging.message import Message, TopicPartition

ZERO = KafkaPartition("orders", 0)


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("orders", 0, offset, 5, 1, b"k", b"v", None, 1, 1, (("h", b"x"),))


class SlowListener:
    """Finish `on_assigned` only when it is told to."""

    def __init__(self) -> None:
        self.may_finish = asyncio.Event()
        self.called = asyncio.Event()
        self.revoked: list[frozenset[TopicPartition]] = []

    async def on_assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.called.set()
        await self.may_finish.wait()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.revoked.append(partitions)


async def assigning(membership: Membership, listener: SlowListener) -> asyncio.Task[None]:
    task = asyncio.create_task(membership.on_partitions_assigned([ZERO]))
    await listener.called.wait()
    return task


def test_a_record_becomes_a_message() -> None:
    expected = Message("orders", 0, 7, b"k", b"v", (("h", b"x"),), timestamp_ms=5, timestamp_type=1)
    assert to_message(record(7)) == expected
    assert theirs(ours(ZERO)) == ZERO


@pytest.mark.asyncio
async def test_records_wait_until_the_listener_knows_their_partition() -> None:
    listener = SlowListener()
    membership = Membership(listener)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [record(1), record(2)]})
    taking = asyncio.create_task(membership.take())
    await asyncio.sleep(0)
    assert not taking.done()
    listener.may_finish.set()
    assert [message.offset for message in await taking] == [1, 2]
    assert membership.is_empty
    assert membership.is_settled
    await announcing


@pytest.mark.asyncio
async def test_records_of_an_assignment_that_ended_are_dropped() -> None:
    listener = SlowListener()
    membership = Membership(listener)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [record(1)]})
    taking = asyncio.create_task(membership.take())
    await asyncio.sleep(0)
    await membership.on_partitions_revoked([ZERO])
    assert listener.revoked == [frozenset({ours(ZERO)})]
    listener.may_finish.set()
    await announcing
    assert list(await taking) == []


@pytest.mark.asyncio
async def test_a_cancelled_take_leaves_the_records_to_the_next() -> None:
    listener = SlowListener()
    membership = Membership(listener)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [record(1)]})
    taking = asyncio.create_task(membership.take())
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    listener.may_finish.set()
    await announcing
    assert [message.offset for message in await membership.take()] == [1]


@pytest.mark.asyncio
async def test_a_listener_that_fails_does_not_hold_the_records_back() -> None:
    class Failing(SlowListener):
        async def on_assigned(self, partitions: frozenset[TopicPartition]) -> None:
            raise RuntimeError("listener")

    membership = Membership(Failing())
    with pytest.raises(RuntimeError, match="listener"):
        await membership.on_partitions_assigned([ZERO])
    membership.hold({ZERO: [record(1)]})
    assert len(await membership.take()) == 1


@pytest.mark.asyncio
async def test_the_listener_is_told_once_that_partitions_are_gone() -> None:
    listener = SlowListener()
    membership = Membership(listener)
    await membership.end()
    assert listener.revoked == []
    listener.may_finish.set()
    await membership.on_partitions_assigned([ZERO])
    await membership.end()
    await membership.on_partitions_revoked([ZERO])
    assert listener.revoked == [frozenset({ours(ZERO)})]
