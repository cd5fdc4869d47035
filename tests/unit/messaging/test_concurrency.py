"""Different keys run side by side, one key in order, and a key that waits holds nobody else back."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, TryAgainException
from cqrs.messaging.message import Message, OutgoingMessage, Position, TopicPartition
from cqrs.messaging.progress import Progress
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber
from cqrs.messaging.workers import Workers
from cqrs.testing.memory import MemoryBroker, MemoryConsumer

SECONDS = 10.0
P0 = TopicPartition("c", 0)


class Handler:
    """Run a script for each value, and remember what happened in order."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.done: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0
        self.scripts: dict[bytes, Callable[[Delivery], Awaitable[None]]] = {}
        self._changed = asyncio.Condition()

    async def __call__(self, delivery: Delivery) -> Outcome:
        value = delivery.message.value or b""
        self.begun.append(value)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._notify()
            if value in self.scripts:
                await self.scripts[value](delivery)
        finally:
            self.at_once -= 1
        self.done.append(value)
        await self._notify()
        return HANDLED

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class WatchedConsumer(MemoryConsumer):
    """Tell when it is polled."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, ["c"])
        self._polled = asyncio.Condition()

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        async with self._polled:
            self.asked_for = partitions
            self._polled.notify_all()
        return await super().poll(timeout_seconds, partitions, max_records)

    async def until_polled(self, times: int = 1) -> None:
        """Return when `times` further polls have begun."""
        wanted = self.polls + times
        async with asyncio.timeout(SECONDS), self._polled:
            await self._polled.wait_for(lambda: self.polls >= wanted)


class World:
    """One subscriber on a broker in memory."""

    def __init__(self, partitions: int = 1, **limits: int) -> None:
        self.broker = MemoryBroker({"c": partitions})
        self.consumer = WatchedConsumer(self.broker)
        self.handler = Handler()
        self.progress = Progress()
        self.subscriber = Subscriber(
            self.consumer,
            self.handler,
            backoff=Backoff(0.001, 0.001),
            progress=self.progress,
            limits=Limits(**limits),
            commit_seconds=0.0,
            drain_seconds=SECONDS,
        )

    async def send(self, *records: tuple[str, str], partition: int = 0) -> None:
        for key, value in records:
            await self.broker.append(OutgoingMessage("c", key.encode(), value.encode(), partition=partition))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.subscriber.run())
        try:
            async with asyncio.timeout(SECONDS):
                await self.subscriber.assigned.wait()
            yield task
        finally:
            self.subscriber.stop()
            await asyncio.wait_for(task, SECONDS)

    def committed(self, partition: int = 0) -> int:
        found = self.broker.committed.get(TopicPartition("c", partition))
        return found.offset if found else 0


def gate() -> tuple[asyncio.Event, Callable[[Delivery], Awaitable[None]]]:
    event = asyncio.Event()

    async def wait(_: Delivery) -> None:
        await event.wait()

    return event, wait


def failing(count: int, error: Callable[[], Exception]) -> Callable[[Delivery], Awaitable[None]]:
    left = [count]

    async def fail(_: Delivery) -> None:
        if left[0]:
            left[0] -= 1
            raise error()

    return fail


@pytest.mark.asyncio
async def test_different_keys_run_side_by_side() -> None:
    world = World()
    opened, wait = gate()
    for value in (b"a1", b"b1", b"c1"):
        world.handler.scripts[value] = wait
    await world.send(("a", "a1"), ("b", "b1"), ("c", "c1"))
    async with world.running():
        await world.handler.until(lambda: len(world.handler.begun) == 3)
        opened.set()
        await world.handler.until(lambda: len(world.handler.done) == 3)
    assert world.committed() == 3


@pytest.mark.asyncio
async def test_no_more_than_max_in_flight_run_at_once() -> None:
    world = World(max_in_flight=4)
    opened, wait = gate()
    records = [(f"k{number}", f"v{number}") for number in range(20)]
    for _, value in records:
        world.handler.scripts[value.encode()] = wait
    await world.send(*records)
    async with world.running():
        await world.handler.until(lambda: world.handler.at_once == 4)
        opened.set()
        await world.handler.until(lambda: len(world.handler.done) == 20)
    assert world.handler.most_at_once == 4


@pytest.mark.asyncio
async def test_one_key_runs_in_order_one_record_at_a_time() -> None:
    world = World(max_in_flight=8)
    keys = ["a", "b", "c"]
    records = [(keys[number % 3], f"{keys[number % 3]}{number:03}") for number in range(300)]

    async def yield_some(delivery: Delivery) -> None:
        for _ in range(delivery.message.offset % 4):
            await asyncio.sleep(0)

    for _, value in records:
        world.handler.scripts[value.encode()] = yield_some
    await world.send(*records)
    async with world.running():
        await world.handler.until(lambda: len(world.handler.done) == 300)
    by_key: dict[bytes, list[bytes]] = defaultdict(list)
    for done in world.handler.done:
        by_key[done[:1]].append(done)
    assert all(values == sorted(values) and len(values) == 100 for values in by_key.values())
    assert world.committed() == 300


@pytest.mark.asyncio
async def test_a_key_that_waits_holds_its_followers_and_nobody_else_even_with_more_such_keys_than_workers() -> None:
    world = World(max_in_flight=2)
    bad = [f"bad{number}" for number in range(10)]
    for key in bad:
        world.handler.scripts[f"{key}-1".encode()] = failing(
            10**6, lambda: TryAgainException(3600.0, ValueError("x"), spent=True)
        )
    await world.send(*((key, f"{key}-{n}") for n in (1, 2) for key in bad), ("good", "good-1"), ("good", "good-2"))
    async with world.running():
        await world.handler.until(lambda: world.handler.done == [b"good-1", b"good-2"])
        assert sorted(world.handler.begun[:10]) == sorted(f"{key}-1".encode() for key in bad)
        assert not any(value.endswith(b"-2") and value.startswith(b"bad") for value in world.handler.begun)
    assert world.committed() == 0, "no offset may pass the records that wait"


@pytest.mark.asyncio
async def test_what_is_done_beyond_the_watermark_is_not_run_again_by_the_next_owner() -> None:
    world = World()
    world.handler.scripts[b"bad"] = failing(1, lambda: TryAgainException(3600.0, ValueError("x"), spent=True))
    await world.send(("k", "bad"), *((f"k{n}", f"good{n}") for n in range(5)))
    async with world.running():
        await world.handler.until(lambda: len(world.handler.done) == 5)
        await world.consumer.reassign(frozenset({P0}))
        await world.handler.until(lambda: world.handler.done[-1] == b"bad")
    assert sorted(world.handler.begun) == sorted([b"bad", b"bad", *(f"good{n}".encode() for n in range(5))])
    assert world.committed() == 6


@pytest.mark.asyncio
async def test_when_what_was_away_is_back_all_that_waited_for_it_go_on_at_once() -> None:
    world = World(max_in_flight=3)
    away = [True]

    async def needs_database(delivery: Delivery) -> None:
        if away[0]:
            first = delivery.message.value == b"v0"
            raise TryAgainException(0.01 if first else 3600.0, ConnectionError("refused"), waits_for="database")

    for number in range(6):
        world.handler.scripts[f"v{number}".encode()] = needs_database
    await world.send(*((f"k{number}", f"v{number}") for number in range(6)))
    async with world.running():
        await world.handler.until(lambda: len(set(world.handler.begun)) == 6)
        assert (world.subscriber.waiting_for or "").endswith("records wait for database: refused")
        away[0] = False
        await world.handler.until(lambda: len(world.handler.done) == 6)
        assert world.subscriber.waiting_for is None
    assert world.committed() == 6


@pytest.mark.asyncio
async def test_a_partition_whose_record_waits_for_something_away_is_not_read_and_the_others_are() -> None:
    world = World(partitions=2)
    held, error = asyncio.Event(), DependencyUnavailableException("registry", "away")

    async def hold(_: Delivery) -> None:
        if not held.is_set():
            raise TryAgainException(0.01, error, waits_for="registry")

    world.handler.scripts[b"held"] = hold
    await world.send(("h", "held"))
    async with world.running():
        await world.handler.until(lambda: world.handler.begun.count(b"held") >= 2)
        await world.consumer.until_polled()
        assert world.consumer.asked_for == (TopicPartition("c", 1),)
        await world.send(("x", "behind"))
        await world.send(("y", "elsewhere"), partition=1)
        await world.handler.until(lambda: b"elsewhere" in world.handler.done)
        assert b"behind" not in world.handler.begun
        held.set()
        await world.handler.until(lambda: len(world.handler.done) == 3)
    assert (world.committed(0), world.committed(1)) == (2, 1)


@pytest.mark.asyncio
async def test_an_assignment_that_ends_closes_the_gaps_below_what_was_started_and_leaves_the_rest() -> None:
    world = World(max_in_flight=2)
    first_opened, wait_first = gate()
    third_opened, wait_third = gate()
    world.handler.scripts[b"a1"] = wait_first
    world.handler.scripts[b"b1"] = wait_third
    await world.send(("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1"))
    async with world.running():
        await world.handler.until(lambda: world.handler.at_once == 2)
        revoking = asyncio.create_task(world.consumer.reassign(frozenset()))
        await asyncio.sleep(0)
        first_opened.set()
        await world.handler.until(lambda: b"a2" in world.handler.done)
        assert not revoking.done(), "b1 is still in hand"
        third_opened.set()
        await asyncio.wait_for(revoking, SECONDS)
        assert world.handler.done == [b"a1", b"a2", b"b1"], "a2 lies below b1, which was started; b2 and c1 do not"
        assert world.broker.committed == {P0: Position(3)}


@pytest.mark.asyncio
async def test_the_buffer_bounds_what_is_read_ahead() -> None:
    world = World(max_in_flight=1, buffer=10, max_poll_records=4)
    opened, wait = gate()
    world.handler.scripts[b"v0"] = wait
    await world.send(*((f"k{number}", f"v{number}") for number in range(100)))
    async with world.running():
        await world.handler.until(lambda: bool(world.handler.begun))
        [partition] = world.progress.partitions
        await world.consumer.until_polled(3)
        assert 1 < partition.buffered <= 13
        opened.set()
        await world.handler.until(lambda: len(world.handler.done) == 100)
    assert world.committed() == 100


@pytest.mark.asyncio
async def test_max_lead_bounds_how_far_reading_runs_ahead_of_a_record_that_waits() -> None:
    world = World(max_lead=20, max_poll_records=5)
    opened, wait = gate()
    world.handler.scripts[b"v0"] = wait
    await world.send(*((f"k{number}", f"v{number}") for number in range(100)))
    async with world.running():
        await world.handler.until(lambda: len(world.handler.done) >= 19)
        [partition] = world.progress.partitions
        assert partition.watermark.lead <= 25
        opened.set()
        await world.handler.until(lambda: len(world.handler.done) == 100)


@pytest.mark.asyncio
async def test_a_worker_that_ends_by_a_defect_ends_the_subscriber_instead_of_standing_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    def break_it(*_: object) -> None:
        raise LookupError("a defect of ours")

    monkeypatch.setattr(Workers, "_finish", break_it)
    await world.send(("k", "v"))
    task = asyncio.create_task(world.subscriber.run())
    with pytest.raises(LookupError):
        await asyncio.wait_for(task, SECONDS)
    assert world.committed() == 0
