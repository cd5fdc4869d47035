"""A consumer keeps its place, or finds it again, whatever brokers and other members do."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import TopicPartition as OutsidePartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import Message, OutgoingMessage, Position, TopicPartition
from cqrs.testing.kafka_server import KafkaServer
from tests.conftest import MEASURED

CreateTopics = Callable[..., list[str]]
MakeProducer = Callable[..., KafkaProducer]
MakeConsumer = Callable[..., KafkaConsumer]
Note = Callable[[str, object], None]

SECONDS = 60.0


class Member:
    """Poll all the time, commit what was read, and remember what it was told."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.wanted: list[TopicPartition] | None = None
        self.found: list[Message] = []
        self.assignments: list[Mapping[TopicPartition, Position | None]] = []
        self.revocations = 0
        self.drain: Callable[[], Awaitable[None]] | None = None
        self.next: dict[TopicPartition, Position] = {}
        self.errors: list[str] = []
        self._changed = asyncio.Condition()

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.next = {}
        self.assignments.append(committed)
        async with self._changed:
            self._changed.notify_all()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.revocations += 1
        if self.drain is not None:
            await self.drain()
        await self.consumer.commit(self.next)

    async def until_assigned(self, *counts: int) -> None:
        """Wait for an assignment of so many partitions."""
        await self.until(lambda: bool(self.assignments) and len(self.assignments[-1]) in counts)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def poll(self) -> None:
        try:
            messages = await self.consumer.poll(0.1, self.wanted)
        except DependencyUnavailableException as error:
            self.errors.append(str(error))
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(0.05)
            return
        self.found += messages
        self.next |= {TopicPartition(m.topic, m.partition): Position(m.offset + 1) for m in messages}
        async with self._changed:
            self._changed.notify_all()

    async def run(self) -> None:
        while True:
            await self.poll()

    async def until_found(self, count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.found) < count:
                await self.poll()

    async def poll_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.poll()

    @property
    def values(self) -> list[bytes | None]:
        return [message.value for message in self.found]


@asynccontextmanager
async def polling(*members: Member) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(member.run()) for member in members]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def send(producer: KafkaProducer, topic: str, partition: int, *values: bytes) -> None:
    for value in values:
        await producer.send(OutgoingMessage(topic, b"k", value, partition=partition))


@pytest.mark.asyncio
async def test_a_broker_that_is_killed_and_back_after_8_seconds_is_read_within_30(
    kafka_server: KafkaServer,
    create_topics: CreateTopics,
    producers: MakeProducer,
    consumers: MakeConsumer,
    record_property: Note,
) -> None:
    [topic] = create_topics("bounced", partitions=3)
    producer, member = producers(), Member(consumers(topic))
    for partition in range(3):
        await send(producer, topic, partition, b"before")
    await member.consumer.start(member)
    await member.until_found(3)
    await member.consumer.commit(member.next)
    async with polling(member):
        await asyncio.to_thread(kafka_server.kill)
        killed = time.monotonic()
        await asyncio.sleep(8)
        await asyncio.to_thread(kafka_server.start)
        back = time.monotonic()
        for partition in range(3):
            await send(producer, topic, partition, b"after")
        await member.until(lambda: member.values.count(b"after") == 3)
        done = time.monotonic()
    record_property(MEASURED, f"read again {done - killed:.1f} s after the kill, {done - back:.1f} s after the start")
    assert done - killed < 30
    assert sorted(member.values, key=str) == [b"after"] * 3 + [b"before"] * 3
    assert any("no fetch was answered" in each for each in member.errors), "away for longer than silence_seconds"


@pytest.mark.asyncio
async def test_after_an_absence_in_which_the_client_was_replaced_nobody_waits_for_the_member_it_was(
    kafka_server: KafkaServer,
    create_topics: CreateTopics,
    producers: MakeProducer,
    consumers: MakeConsumer,
    record_property: Note,
) -> None:
    [topic] = create_topics("replaced")
    producer = producers()
    member = Member(consumers(topic, session_timeout_seconds=30.0, silence_seconds=1.0, rejoin_seconds=3.0))
    await member.consumer.start(member)
    async with polling(member):
        await asyncio.to_thread(kafka_server.kill)
        await member.until(lambda: any("joining" in each for each in member.errors))
        await asyncio.to_thread(kafka_server.start)
        back = time.monotonic()
        await send(producer, topic, 0, b"after")
        await member.until(lambda: member.values == [b"after"])
        took = time.monotonic() - back
    record_property(MEASURED, f"read again {took:.1f} s after the start; a session takes 30 s")
    assert took < 12
    assert len(member.assignments) == 2


@pytest.mark.asyncio
async def test_metadata_of_4000_bytes_comes_back_and_more_than_the_broker_takes_is_refused(
    create_topics: CreateTopics, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("noted", partitions=2)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    member = Member(consumers(topic))
    await member.consumer.start(member)
    noted = {first: Position(0, "x" * 4_000), second: Position(0, "é")}
    await member.consumer.commit(noted)
    with pytest.raises(DependencyUnavailableException, match=r"offset\.metadata\.max\.bytes"):
        await member.consumer.commit({first: Position(0, "x" * 4_097)})
    await member.consumer.stop()
    await member.consumer.start(member)
    assert member.assignments == [{first: None, second: None}, noted]


@pytest.mark.asyncio
async def test_a_revocation_may_take_longer_than_session_and_request_and_its_commit_counts(
    create_topics: CreateTopics,
    producers: MakeProducer,
    consumers: MakeConsumer,
    record_property: Note,
    caplog: pytest.LogCaptureFixture,
) -> None:
    [topic] = create_topics("drained", partitions=2)
    producer = producers()
    for partition in range(2):
        await send(producer, topic, partition, b"0", b"1", b"2")
    options = {"session_timeout_seconds": 2.0, "request_timeout_seconds": 2.0, "start_timeout_seconds": 3.0}
    first, second = Member(consumers(topic, **options)), Member(consumers(topic, **options))
    await first.consumer.start(first)
    await first.until_found(6)

    async def take_7_seconds() -> None:
        await asyncio.sleep(7)

    first.drain = take_7_seconds
    async with polling(first):
        began = time.monotonic()
        await second.consumer.start(second)
        took = time.monotonic() - began
        await first.until_assigned(1)
    record_property(MEASURED, f"the second member was in after {took:.1f} s, the first took 7 s to finish its work")
    assert 6.5 < took < 12
    assert (first.revocations, len(first.assignments)) == (1, 2)
    assert "JoinGroupRequest" not in caplog.text, "waiting for others is no failure"
    assert {**first.assignments[1], **second.assignments[0]} == {
        TopicPartition(topic, 0): Position(3),
        TopicPartition(topic, 1): Position(3),
    }


@pytest.mark.asyncio
async def test_between_two_assignments_nothing_can_be_committed(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    [topic] = create_topics("between", partitions=2)
    for partition in range(2):
        await send(producers(), topic, partition, b"0", b"1")
    slow, quick, third = (Member(consumers(topic)) for _ in range(3))
    given_back, may_end = asyncio.Event(), asyncio.Event()

    async def note() -> None:
        given_back.set()

    async def wait() -> None:
        await may_end.wait()

    await slow.consumer.start(slow)
    async with polling(slow):
        await quick.consumer.start(quick)
        await slow.until_assigned(1)
        async with polling(quick):
            quick.drain, slow.drain = note, wait
            [mine] = quick.assignments[-1]
            starting = asyncio.create_task(third.consumer.start(third))
            await asyncio.wait_for(given_back.wait(), SECONDS)
            with caplog.at_level(logging.WARNING, logger="cqrs"):
                async with asyncio.timeout(SECONDS):
                    while f"took {topic}[{mine.partition}] away from this member: not committed" not in caplog.text:
                        await quick.consumer.commit({mine: Position(1, "too late")})
                        await asyncio.sleep(0)
            assert len(quick.assignments) == 1
            may_end.set()
            await starting
            await quick.until(lambda: len(quick.assignments) == 2)
            await slow.until(lambda: len(slow.assignments) == 3)
    known = [at for each in (slow, quick, third) for at in each.assignments[-1].values()]
    assert len(known) == 2
    assert all(at is None or at.metadata == "" for at in known)


@pytest.mark.asyncio
async def test_a_member_that_wants_nothing_for_longer_than_everything_keeps_its_place(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("unwanted", partitions=3)
    producer = producers()
    for partition in range(2):
        await send(producer, topic, partition, *[b"%d" % number for number in range(20)])
    member = Member(
        consumers(topic, session_timeout_seconds=2.0, silence_seconds=1.0, rejoin_seconds=2.0, max_poll_records=7)
    )
    await member.consumer.start(member)
    await member.until_found(7)
    member.wanted = []
    await member.poll_for(5)
    assert (member.revocations, member.errors, len(member.found)) == (0, [], 7)
    await send(producer, topic, 2, b"new")
    member.wanted = [TopicPartition(topic, 2)]
    await member.until_found(8)
    assert member.values[-1] == b"new"
    member.wanted = None
    await member.until_found(41)
    for partition in range(2):
        assert [m.offset for m in member.found if m.partition == partition] == list(range(20))
    assert (member.revocations, member.errors) == (0, [])


@pytest.mark.asyncio
async def test_what_is_not_wanted_is_fetched_once_and_holds_nobody_up(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("backlog", partitions=2)
    producer = producers()
    await asyncio.gather(*(send(producer, topic, 0, b"x" * 1_000) for _ in range(3_000)))
    member = Member(consumers(topic, max_partition_fetch_bytes=100_000, max_poll_records=5_000))
    await member.consumer.start(member)
    member.wanted = [TopicPartition(topic, 1)]
    for number in range(30):
        await send(producer, topic, 1, b"%d" % number)
        async with asyncio.timeout(2):
            await member.until_found(number + 1)
    assert member.values == [b"%d" % number for number in range(30)]
    there = await member.consumer.poll(0.0, [TopicPartition(topic, 0)])
    assert 50 < len(there) < 300
    member.found, member.wanted = list(there), None
    await member.until_found(3_000)
    assert [m.offset for m in member.found] == list(range(3_000))


@pytest.mark.asyncio
async def test_a_member_without_partitions_stays_a_member(
    create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("single")
    members = [Member(consumers(topic, silence_seconds=1.0, rejoin_seconds=2.0)) for _ in range(2)]
    await members[0].consumer.start(members[0])
    async with polling(members[0]):
        await members[1].consumer.start(members[1])
        async with polling(members[1]):
            await members[0].until(lambda: len(members[0].assignments) == 2)
            await asyncio.sleep(5)
            assert [len(member.assignments) for member in members] == [2, 1]
            assert sum(len(member.assignments[-1]) for member in members) == 1
            assert [member.errors for member in members] == [[], []]


@pytest.mark.asyncio
async def test_records_that_were_deleted_unread_are_reported_and_passed(
    kafka_bootstrap: str,
    create_topics: CreateTopics,
    producers: MakeProducer,
    consumers: MakeConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    [topic] = create_topics("deleted", partitions=2)
    for partition in range(2):
        await send(producers(), topic, partition, *[b"%d" % number for number in range(10)])
    member = Member(consumers(topic))
    await member.consumer.start(member)
    await member.consumer.commit({TopicPartition(topic, number): Position(2, "noted") for number in range(2)})
    await member.consumer.stop()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for deleted in admin.delete_records([OutsidePartition(topic, 0, 7)]).values():
        deleted.result(SECONDS)
    await member.consumer.start(member)
    await member.until_found(3 + 8)
    assert [m.offset for m in member.found if m.partition == 0] == [7, 8, 9]
    assert {m.offset for m in member.found if m.partition == 1} == set(range(2, 10))
    assert member.assignments[-1][TopicPartition(topic, 0)] is None
    assert member.assignments[-1][TopicPartition(topic, 1)] in (Position(2, "noted"), Position(10))
    assert f"{topic}[0] has nothing at offset 2, where the group stands" in caplog.text


@pytest.mark.asyncio
async def test_new_partitions_are_read_soon(
    kafka_bootstrap: str, create_topics: CreateTopics, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    [topic] = create_topics("growing")
    member = Member(consumers(topic))
    await member.consumer.start(member)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for grown in admin.create_partitions([NewPartitions(topic, 2)]).values():
        grown.result(SECONDS)
    async with polling(member), asyncio.timeout(20):
        await member.until_assigned(2)
    await send(producers(), topic, 1, b"there")
    await member.until_found(1)
