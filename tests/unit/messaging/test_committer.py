"""What is done is committed after a while, after so many records, and again when the broker did not take it."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.committer import Committer
from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.message import Message, OutgoingMessage, Position, TopicPartition
from cqrs.messaging.progress import Progress
from cqrs.testing.memory import MemoryBroker, MemoryConsumer

SECONDS = 10.0


class Listening:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    async def on_assigned(self, committed: object) -> None:
        self._progress.assign(committed)  # type: ignore[arg-type]

    async def on_revoked(self, partitions: object) -> None: ...


class TellingConsumer(MemoryConsumer):
    """Tell when something was committed."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, ["c"])
        self.changed = asyncio.Condition()

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        lost = await super().commit(positions)
        async with self.changed:
            self.changed.notify_all()
        return lost


class World:
    def __init__(self, *, seconds: float, records: int) -> None:
        self.broker = MemoryBroker({"c": 1})
        self.consumer = TellingConsumer(self.broker)
        self.progress = Progress()
        self.lost: list[AssignedPartition] = []
        self.committer = Committer(
            self.consumer, self.progress, seconds=seconds, records=records, on_lost=self.lost.extend
        )
        self._next = 0

    async def begin(self) -> asyncio.Task[None]:
        await self.consumer.start(Listening(self.progress))
        return asyncio.create_task(self.committer.run())

    async def finish(self, count: int) -> None:
        for _ in range(count):
            await self.broker.append(OutgoingMessage("c", b"k", b"v"))
            partition = self.progress.of(Message("c", 0, self._next, b"k", b"v"))
            assert partition is not None
            lane = partition.add(Message("c", 0, self._next, b"k", b"v"))
            assert lane is not None
            partition.start(lane)
            partition.finish(lane)
            self._next += 1
            self.committer.count()

    async def until(self, offset: int) -> None:
        async with asyncio.timeout(SECONDS), self.consumer.changed:
            await self.consumer.changed.wait_for(lambda: self.committed >= offset)

    @property
    def committed(self) -> int:
        position = self.broker.committed.get(TopicPartition("c", 0))
        return position.offset if position else 0


@pytest.mark.asyncio
async def test_the_interval_commits_what_is_done() -> None:
    world = World(seconds=0.001, records=10**6)
    running = await world.begin()
    await world.finish(3)
    await world.until(3)
    running.cancel()


@pytest.mark.asyncio
async def test_so_many_records_do_not_wait_for_the_interval() -> None:
    world = World(seconds=3600.0, records=5)
    running = await world.begin()
    await world.finish(4)
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.broker.committed == {}
    await world.finish(1)
    await world.until(5)
    running.cancel()


@pytest.mark.asyncio
async def test_a_commit_that_fails_is_repeated() -> None:
    world = World(seconds=0.001, records=10**6)
    world.consumer.commit_failures += [DependencyUnavailableException("kafka", "no answer")] * 2
    running = await world.begin()
    await world.finish(2)
    await world.until(2)
    assert world.consumer.commit_failures == []
    running.cancel()


@pytest.mark.asyncio
async def test_a_commit_says_whether_the_broker_has_it_and_nothing_to_do_is_a_success() -> None:
    world = World(seconds=3600.0, records=10**6)
    running = await world.begin()
    assert await world.committer.commit()
    await world.finish(1)
    world.consumer.commit_failures.append(DependencyUnavailableException("kafka", "no answer"))
    assert not await world.committer.commit()
    assert await world.committer.commit()
    running.cancel()


@pytest.mark.asyncio
async def test_a_commit_that_is_cut_off_counts_for_nothing() -> None:
    world = World(seconds=3600.0, records=10**6)
    running = await world.begin()
    await world.finish(1)
    world.consumer.commit_failures.append(asyncio.CancelledError())  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await world.committer.commit()
    assert await world.committer.commit()
    await world.until(1)
    running.cancel()


@pytest.mark.asyncio
async def test_partitions_that_are_others_by_now_are_told_of_and_not_tried_again() -> None:
    world = World(seconds=3600.0, records=10**6)
    running = await world.begin()
    await world.finish(1)
    [partition] = world.progress.partitions
    world.consumer.taken_away()
    assert await world.committer.commit()
    assert world.lost == [partition]
    assert await world.committer.commit()
    assert len(world.lost) == 1
    assert world.broker.committed == {}
    running.cancel()


@pytest.mark.asyncio
async def test_what_waits_for_its_commit_is_as_old_as_the_first_record_that_does() -> None:
    world = World(seconds=3600.0, records=10**6)
    running = await world.begin()

    def age() -> float | None:
        return world.committer.uncommitted_since

    assert age() is None
    await world.finish(1)
    since = age()
    assert since is not None
    await world.finish(1)
    assert age() == since

    world.consumer.commit_failures = [DependencyUnavailableException("kafka", "away")]
    assert not await world.committer.commit()
    assert age() == since, "a commit that failed makes nothing younger"

    assert await world.committer.commit()
    assert age() is None
    running.cancel()
