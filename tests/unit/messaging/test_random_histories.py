"""Whatever happens, in whatever order: nothing is lost, a key stays in order, no commit passes unfinished work."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Mapping

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging import workers
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, TryAgainException
from cqrs.messaging.message import Message, OutgoingMessage, Position, TopicPartition
from cqrs.messaging.progress import Progress
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber
from cqrs.testing.memory import MemoryBroker, MemoryConsumer

SECONDS = 60.0
RECORDS, KEYS, PARTITIONS, WORKERS = 400, 12, 3, 7

Place = tuple[int, int]


class Checking(MemoryConsumer):
    """Fail commits now and then, and let none pass that stands above unfinished work."""

    def __init__(self, broker: MemoryBroker, chance: random.Random, done: set[Place]) -> None:
        super().__init__(broker, ["c"])
        self._chance = chance
        self._done = done
        self.wrong: list[str] = []

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        for place, position in positions.items():
            missing = [each for each in range(position.offset) if (place.partition, each) not in self._done]
            if missing:
                self.wrong.append(f"{place} was committed at {position.offset} over {missing}")
        await asyncio.sleep(0)
        if self._chance.random() < 0.2:
            raise DependencyUnavailableException("kafka", "no answer to the commit")
        return await super().commit(positions)


class World:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.broker = MemoryBroker({"c": PARTITIONS})
        self.done: set[Place] = set()
        self.running: dict[bytes | None, Place] = {}
        self.wrong: list[str] = []
        self.order: dict[bytes | None, list[Place]] = defaultdict(list)
        self.consumer = Checking(self.broker, self.chance, self.done)
        self.progress = Progress()
        self.subscriber = Subscriber(
            self.consumer,
            self.handle,
            backoff=Backoff(0.0005, 0.002),
            progress=self.progress,
            limits=Limits(WORKERS, buffer=40, max_lead=120, max_poll_records=9),
            commit_seconds=0.001,
            commit_records=10,
            drain_seconds=0.01,
        )
        self.finished = asyncio.Event()

    async def handle(self, delivery: Delivery) -> Outcome:
        message = delivery.message
        place = (message.partition, message.offset)
        if message.key in self.running:
            self.wrong.append(f"{message.place} began while {self.running[message.key]} of its key was in hand")
        self.running[message.key] = place
        try:
            await self.act(delivery)
        finally:
            del self.running[message.key]
        self.note(message, place)
        return HANDLED

    async def act(self, delivery: Delivery) -> None:
        fate = self.chance.random()
        if fate < 0.3:
            await asyncio.sleep(self.chance.random() * 0.004)
        elif fate < 0.4:
            await asyncio.Event().wait() if self.chance.random() < 0.02 else await asyncio.sleep(0)
        elif fate < 0.5:
            raise TryAgainException(self.chance.random() * 0.003, ValueError("again"), spent=True)
        elif fate < 0.6:
            raise TryAgainException(self.chance.random() * 0.003, ConnectionError("no"), waits_for="database")
        elif fate < 0.65:
            raise TryAgainException(0.001, ConnectionError("no"), waits_for="a handler", is_outage=False)
        elif fate < 0.7:
            raise RuntimeError("a defect")
        elif fate < 0.72:
            raise asyncio.CancelledError

    def note(self, message: Message, place: Place) -> None:
        earlier = [each for each in self.order[message.key] if each[1] > place[1]]
        if earlier and place not in self.done:
            self.wrong.append(f"{message.place} was done for the first time after {earlier}")
        self.done.add(place)
        self.order[message.key].append(place)
        if len(self.done) == RECORDS:
            self.finished.set()

    async def disturb(self) -> None:
        """Take partitions away and give them back, again and again."""
        everything = frozenset(TopicPartition("c", number) for number in range(PARTITIONS))
        while not self.finished.is_set():
            await asyncio.sleep(self.chance.random() * 0.03)
            some = frozenset(each for each in everything if self.chance.random() < 0.6)
            await self.consumer.reassign(some)
            await asyncio.sleep(self.chance.random() * 0.01)
            await self.consumer.reassign(everything)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.asyncio
async def test_nothing_is_lost_or_out_of_order_and_nothing_is_left_behind(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ABANDON_SECONDS", 0.5)
    world = World(seed)
    for number in range(RECORDS):
        key = str(number % KEYS).encode()
        await world.broker.append(OutgoingMessage("c", key, b"v", partition=number % KEYS % PARTITIONS))
    running = asyncio.create_task(world.subscriber.run())
    disturbing = asyncio.create_task(world.disturb())
    async with asyncio.timeout(SECONDS):
        await world.finished.wait()
        await disturbing
    tasks = world.subscriber._workers._tasks
    assert sum(not task.done() for task in tasks) == WORKERS, "a worker was lost"
    world.subscriber.stop()
    await asyncio.wait_for(running, SECONDS)

    assert world.wrong == []
    assert world.consumer.wrong == []
    assert len(world.done) == RECORDS
    for partition in world.progress.partitions:
        assert (partition.waiting, partition.held) == (0, 0)
        assert (partition.buffered, partition.buffered_bytes) == (0, 0)
    assert world.subscriber.waiting_for is None
