import asyncio
from collections.abc import Collection, Mapping

import pytest
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.kafka.fetching import to_message
from cqrs.kafka.membership import Begin, Membership, ours, theirs
from cqrs.messaging.message import Message, Position, TopicPartition

ZERO, ONE = KafkaPartition("orders", 0), KafkaPartition("orders", 1)


def record(offset: int, partition: int = 0) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("orders", partition, offset, 5, 1, b"k", b"v", None, 1, 1, (("h", b"x"),))


def message(offset: int, partition: int = 0) -> Message:
    return to_message(record(offset, partition))


async def nothing_committed(partitions: Collection[KafkaPartition]) -> dict[KafkaPartition, OffsetAndMetadata | None]:
    return dict.fromkeys(partitions)


class SlowListener:
    """Finish `on_assigned` only when it is told to."""

    def __init__(self) -> None:
        self.may_finish = asyncio.Event()
        self.called = asyncio.Event()
        self.revoked: list[frozenset[TopicPartition]] = []
        self.committed: Mapping[TopicPartition, Position | None] = {}

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.committed = committed
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
    membership = Membership(listener, nothing_committed, 1.0)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [message(1), message(2)]})
    taking = asyncio.create_task(membership.take(None, None))
    await asyncio.sleep(0)
    assert not taking.done()
    listener.may_finish.set()
    assert [message.offset for message in await taking] == [1, 2]
    assert not membership.holds(None)
    assert membership.is_settled
    await announcing


@pytest.mark.asyncio
async def test_records_of_an_assignment_that_ended_are_dropped() -> None:
    listener = SlowListener()
    membership = Membership(listener, nothing_committed, 1.0)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [message(1)]})
    taking = asyncio.create_task(membership.take(None, None))
    await asyncio.sleep(0)
    await membership.on_partitions_revoked([ZERO])
    assert listener.revoked == [frozenset({ours(ZERO)})]
    listener.may_finish.set()
    await announcing
    assert list(await taking) == []


@pytest.mark.asyncio
async def test_a_cancelled_take_leaves_the_records_to_the_next() -> None:
    listener = SlowListener()
    membership = Membership(listener, nothing_committed, 1.0)
    announcing = await assigning(membership, listener)
    membership.hold({ZERO: [message(1)]})
    taking = asyncio.create_task(membership.take(None, None))
    await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    listener.may_finish.set()
    await announcing
    assert [message.offset for message in await membership.take(None, None)] == [1]


@pytest.mark.asyncio
async def test_a_listener_that_fails_does_not_hold_the_records_back() -> None:
    class Failing(SlowListener):
        async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
            raise RuntimeError("listener")

    membership = Membership(Failing(), nothing_committed, 1.0)
    with pytest.raises(RuntimeError, match="listener"):
        await membership.on_partitions_assigned([ZERO])
    membership.hold({ZERO: [message(1)]})
    assert len(await membership.take(None, None)) == 1


@pytest.mark.asyncio
async def test_the_listener_is_told_once_that_partitions_are_gone() -> None:
    listener = SlowListener()
    listener.may_finish.set()
    membership = Membership(listener, nothing_committed, 1.0)
    await membership.on_partitions_revoked([ZERO])
    assert listener.revoked == []
    await membership.on_partitions_assigned([ZERO])
    await membership.close()
    await membership.on_partitions_revoked([ZERO])
    assert listener.revoked == [frozenset({ours(ZERO)})]


@pytest.mark.asyncio
async def test_after_the_end_nothing_is_assigned_any_more() -> None:
    listener = SlowListener()
    membership = Membership(listener, nothing_committed, 1.0)
    await membership.close()
    await membership.on_partitions_assigned([ZERO])
    assert not listener.called.is_set()
    assert not membership.is_settled


@pytest.mark.asyncio
async def test_what_ends_while_it_begins_is_not_assigned_any_more() -> None:
    listener, answered = SlowListener(), asyncio.Event()

    async def begin(partitions: Collection[KafkaPartition]) -> dict[KafkaPartition, OffsetAndMetadata | None]:
        await answered.wait()
        return dict.fromkeys(partitions)

    membership = Membership(listener, begin, 5.0)
    beginning = asyncio.create_task(membership.on_partitions_assigned([ZERO]))
    await asyncio.sleep(0)
    await membership.close()
    answered.set()
    await beginning

    assert not membership.partitions
    assert not listener.called.is_set()


@pytest.mark.asyncio
async def test_the_listener_is_told_what_the_group_committed() -> None:
    async def begin(partitions: Collection[KafkaPartition]) -> dict[KafkaPartition, OffsetAndMetadata | None]:
        return {each: OffsetAndMetadata(7, "8-9") if each == ZERO else None for each in partitions}

    listener = SlowListener()
    listener.may_finish.set()
    await Membership(listener, begin, 1.0).on_partitions_assigned([ZERO, ONE])
    assert listener.committed == {ours(ZERO): Position(7, "8-9"), ours(ONE): None}


async def refused(_: Collection[KafkaPartition]) -> dict[KafkaPartition, OffsetAndMetadata | None]:
    raise KafkaError("refused")


async def unanswered(_: Collection[KafkaPartition]) -> dict[KafkaPartition, OffsetAndMetadata | None]:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.asyncio
@pytest.mark.parametrize(("begin", "error"), [(refused, KafkaError), (unanswered, TimeoutError)])
async def test_without_the_committed_positions_nothing_is_announced(begin: Begin, error: type[Exception]) -> None:
    listener = SlowListener()
    membership = Membership(listener, begin, 0.01)
    watching = asyncio.create_task(membership.failed())
    await membership.on_partitions_assigned([ZERO])
    membership.hold({ZERO: [message(1)]})
    await watching
    for waiting in (membership.settled(), membership.take(None, None)):
        with pytest.raises(error):
            await waiting
    await membership.on_partitions_revoked([ZERO])
    await membership.on_partitions_assigned([ZERO])
    assert not membership.is_settled
    assert not listener.called.is_set()
    assert listener.revoked == []


@pytest.mark.asyncio
async def test_only_what_is_wanted_is_taken_and_the_rest_stays() -> None:
    listener = SlowListener()
    listener.may_finish.set()
    membership = Membership(listener, nothing_committed, 1.0)
    await membership.on_partitions_assigned([ZERO, ONE])
    membership.hold({ZERO: [message(1), message(2), message(3)], ONE: [message(4, 1)]})
    assert not membership.holds([TopicPartition("orders", 2)])
    assert list(await membership.take([TopicPartition("orders", 2)], None)) == []
    assert [each.offset for each in await membership.take([ours(ZERO)], 2)] == [1, 2]
    assert membership.holds([ours(ZERO)])
    assert [each.offset for each in await membership.take([ours(ONE)], 2)] == [4]
    assert not membership.holds([ours(ONE)])
    assert [each.offset for each in await membership.take(None, 2)] == [3]
    assert not membership.holds(None)


@pytest.mark.asyncio
async def test_partitions_are_this_member_s_until_the_listener_has_given_them_back() -> None:
    owned: list[frozenset[TopicPartition]] = []

    class Committing(SlowListener):
        async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
            owned.append(membership.partitions)
            raise RuntimeError("listener")

    listener = Committing()
    listener.may_finish.set()
    membership = Membership(listener, nothing_committed, 1.0)
    await membership.on_partitions_assigned([ZERO])
    assert membership.partitions == {ours(ZERO)}
    with pytest.raises(RuntimeError, match="listener"):
        await membership.on_partitions_revoked([ZERO])
    assert owned == [{ours(ZERO)}]
    assert not membership.partitions


@pytest.mark.asyncio
async def test_whoever_ends_it_second_waits_for_the_listener_too() -> None:
    class SlowlyRevoked(SlowListener):
        async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
            await super().on_revoked(partitions)
            self.called.set()
            await self.may_finish.wait()

    listener = SlowlyRevoked()
    listener.may_finish.set()
    membership = Membership(listener, nothing_committed, 1.0)
    await membership.on_partitions_assigned([ZERO])
    listener.may_finish.clear()
    listener.called.clear()
    first = asyncio.create_task(membership.on_partitions_revoked([ZERO]))
    await listener.called.wait()
    second = asyncio.create_task(membership.close())
    await asyncio.sleep(0)
    assert not second.done()
    listener.may_finish.set()
    await asyncio.gather(first, second)
    assert listener.revoked == [frozenset({ours(ZERO)})]
