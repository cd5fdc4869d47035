"""What `Consumer` promises: `class TestMyConsumer(ConsumerContract)` with a fixture `transport`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import Consumer
from cqrs.testing.contracts.contract import SECONDS, Contract
from cqrs.testing.contracts.transport import POLL_SECONDS, RecordingListener, Transport, message, read, send_all


class ConsumerContract(Contract):
    """Hold a `Consumer` to its port; needs a fixture `transport`, a `Transport`."""

    @pytest.mark.asyncio
    async def test_a_group_that_has_committed_nothing_begins_at_the_beginning(self, transport: Transport) -> None:
        """Tell the listener of every partition before the first record, and lose nothing that was there before."""
        topic = await _filled(transport, 2, partitions=2)
        consumer, listener = transport.consumer(topic), RecordingListener()

        await consumer.start(listener)

        assert listener.committed == {TopicPartition(topic, 0): None, TopicPartition(topic, 1): None}
        found = await read(consumer, 4)
        assert sorted((each.topic, each.partition, each.offset, each.value) for each in found) == [
            *((topic, 0, offset, b"%d" % offset) for offset in range(2)),
            *((topic, 1, offset, b"%d" % offset) for offset in range(2)),
        ]

    @pytest.mark.asyncio
    async def test_records_of_a_partition_come_in_order_and_once(self, transport: Transport) -> None:
        """Return each record once, in the order in which it was stored, at most as many as are asked for."""
        topic = await _filled(transport, 100, partitions=2)
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())

        polls: list[Sequence[Message]] = []
        async with asyncio.timeout(SECONDS):
            while sum(len(each) for each in polls) < 200:
                polls.append(await consumer.poll(POLL_SECONDS, None, 7))

        assert max(len(each) for each in polls) <= 7
        for partition in range(2):
            offsets = [each.offset for poll in polls for each in poll if each.partition == partition]
            assert offsets == list(range(100))

    @pytest.mark.asyncio
    async def test_a_poll_that_finds_nothing_returns_in_time(self, transport: Transport) -> None:
        """Return nothing when nothing came."""
        consumer = transport.consumer(await transport.create_topic())
        await consumer.start(RecordingListener())

        async with asyncio.timeout(SECONDS):
            assert list(await consumer.poll(0.01)) == []

    @pytest.mark.asyncio
    async def test_records_of_other_partitions_stay_for_a_later_poll(self, transport: Transport) -> None:
        """Return records of the wanted partitions alone, and lose none of the others."""
        topic = await _filled(transport, 3, partitions=2)
        zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())

        assert [each.offset for each in await read(consumer, 3, [one])] == [0, 1, 2]
        assert list(await consumer.poll(0.01, [one])) == []
        assert [each.offset for each in await read(consumer, 3, [zero])] == [0, 1, 2]

    @pytest.mark.asyncio
    async def test_a_poll_that_wants_nothing_only_watches_the_membership(self, transport: Transport) -> None:
        """Return nothing for an empty collection, whatever there is."""
        topic = await _filled(transport, 3)
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())

        assert [list(await consumer.poll(0.01, ())) for _ in range(5)] == [[]] * 5
        assert len(await read(consumer, 3)) == 3

    @pytest.mark.asyncio
    async def test_the_next_member_goes_on_at_what_was_committed_and_is_told_the_note(
        self, transport: Transport
    ) -> None:
        """Keep offset and note of each partition for the group."""
        topic = await _filled(transport, 4, partitions=2)
        zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
        first = transport.consumer(topic)
        await first.start(RecordingListener())
        await read(first, 8)
        await first.commit({zero: Position(3, "2 too"), one: Position(0)})
        await first.commit({one: Position(1)})
        await first.stop()

        second, listener = transport.consumer(topic), RecordingListener()
        await second.start(listener)

        assert listener.committed == {zero: Position(3, "2 too"), one: Position(1)}
        found = await read(second, 4)
        assert sorted((each.partition, each.offset) for each in found) == [(0, 3), (1, 1), (1, 2), (1, 3)]

    @pytest.mark.asyncio
    async def test_what_is_not_committed_is_read_again(self, transport: Transport) -> None:
        """Commit nothing of its own accord, not at the stop either."""
        topic = await _filled(transport, 3)
        first = transport.consumer(topic)
        await first.start(RecordingListener())
        await read(first, 3)
        await first.stop()

        second = transport.consumer(topic)
        await second.start(RecordingListener())

        assert [each.offset for each in await read(second, 3)] == [0, 1, 2]

    @pytest.mark.asyncio
    async def test_groups_know_nothing_of_each_other(self, transport: Transport) -> None:
        """Give every record to every group."""
        topic = await _filled(transport, 3)
        for group_id in ("one", "other"):
            consumer, listener = transport.consumer(topic, group_id), RecordingListener()
            await consumer.start(listener)
            assert listener.committed == {TopicPartition(topic, 0): None}
            assert len(await read(consumer, 3)) == 3
            await consumer.commit({TopicPartition(topic, 0): Position(3)})
            await consumer.stop()

    @pytest.mark.asyncio
    async def test_a_commit_leaves_out_a_partition_that_is_not_its_own_and_says_so(self, transport: Transport) -> None:
        """Leave to its owner where a partition is read on, and commit the others."""
        topic, other = await _filled(transport, 2), await transport.create_topic()
        mine, foreign = TopicPartition(topic, 0), TopicPartition(other, 0)
        consumer = transport.consumer(topic, "one group")
        await consumer.start(RecordingListener())

        assert set(await consumer.commit({foreign: Position(1), mine: Position(2)})) == {foreign}
        assert not await consumer.commit({mine: Position(2)})

        owner, listener = transport.consumer(other, "one group"), RecordingListener()
        await consumer.stop()
        await owner.start(listener)
        assert listener.committed == {foreign: None}
        await owner.stop()
        again, listener = transport.consumer(topic, "one group"), RecordingListener()
        await again.start(listener)
        assert listener.committed == {mine: Position(2)}

    @pytest.mark.asyncio
    async def test_a_stop_may_come_again_and_before_any_start(self, transport: Transport) -> None:
        """Be stopped at any time."""
        topic = await transport.create_topic()
        never, consumer = transport.consumer(topic), transport.consumer(topic)
        await never.stop()
        await consumer.start(RecordingListener())

        await consumer.stop()
        await consumer.stop()

    @pytest.mark.asyncio
    async def test_a_further_member_takes_half_and_what_was_done_is_committed_before(
        self, transport: Transport
    ) -> None:
        """Let the listener commit while partitions go; whoever has them next begins there."""
        topic = await _filled(transport, 5, partitions=4)
        everything = frozenset(TopicPartition(topic, number) for number in range(4))
        first, second = transport.consumer(topic), transport.consumer(topic)
        one, two = RecordingListener(first), RecordingListener(second)
        await first.start(one)
        await read(first, 20)
        one.positions = dict.fromkeys(everything, Position(5))

        async with _polling(first):
            await second.start(two)

            assert len(two.committed) < 4, "it is told of its share, and not of everything"
            kept, taken = await one.until_it_has(2), await two.until_it_has(2)
            assert (kept | taken, one.revocations[0]) == (everything, everything)
            assert set(two.committed.values()) | set(one.committed.values()) == {Position(5)}
            producer = transport.producer()
            await send_all(producer, *(message(topic, b"new", partition=each.partition) for each in taken))
            assert {each.offset for each in await read(second, 2)} == {5}, "what was committed does not come again"
            await second.stop()
            await one.until_it_has(4)

    @pytest.mark.asyncio
    async def test_a_broker_that_goes_away_is_reported_and_reading_goes_on_when_it_is_back(
        self, transport: Transport
    ) -> None:
        """Say at polls and commits that it is away; lose nothing of what is read later."""
        topic = await _filled(transport, 1)
        place = TopicPartition(topic, 0)
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())
        await read(consumer, 1)
        await consumer.commit({place: Position(1)})

        await transport.take_away()
        with pytest.raises(DependencyUnavailableException):
            await read(consumer, 1)
        with pytest.raises(DependencyUnavailableException):
            await consumer.commit({place: Position(1)})
        await transport.bring_back()

        await send_all(transport.producer(), message(topic, b"after"))
        found = await read(consumer, 1, patiently=True)
        assert [(each.offset, each.value) for each in found] == [(1, b"after")]


async def _filled(transport: Transport, count: int, *, partitions: int = 1) -> str:
    """Create a topic with the values 0, 1, 2 ... in each partition, and return its name."""
    topic = await transport.create_topic(partitions)
    messages = [
        message(topic, b"%d" % number, partition=partition)
        for number in range(count)
        for partition in range(partitions)
    ]
    await send_all(transport.producer(), *messages)
    return topic


@asynccontextmanager
async def _polling(consumer: Consumer) -> AsyncIterator[None]:
    """Poll within the block, as a member of a group must to give partitions back."""

    async def poll() -> None:
        while True:
            await consumer.poll(POLL_SECONDS)

    task = asyncio.create_task(poll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
