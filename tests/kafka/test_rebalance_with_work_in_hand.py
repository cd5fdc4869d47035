"""Three real members share a group with records in hand: nothing is lost, keys stay in order, repeats are counted."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber
from tests.conftest import MEASURED

SECONDS = 90.0
RECORDS = 3_000
KEYS = 60
PARTITIONS = 12
WORK_SECONDS = 0.02

Place = tuple[int, int]


class History:
    """Remember every run of every record, of all members together."""

    def __init__(self) -> None:
        self.runs: Counter[Place] = Counter()
        self.done: set[Place] = set()
        self.disorder: list[str] = []
        self._last_done: dict[bytes | None, int] = defaultdict(lambda: -1)
        self._changed = asyncio.Condition()

    async def handle(self, delivery: Delivery) -> Outcome:
        message = delivery.message
        place, number = (message.partition, message.offset), int(message.value or b"-1")
        if place not in self.done and number <= self._last_done[message.key]:
            self.disorder.append(f"{message.place} ({number}) began after {self._last_done[message.key]} was done")
        self.runs[place] += 1
        await asyncio.sleep(WORK_SECONDS)  # the work itself: it waits for something outside of the process
        self.done.add(place)
        self._last_done[message.key] = max(self._last_done[message.key], number)
        async with self._changed:
            self._changed.notify_all()
        return HANDLED

    async def until(self, count: int) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.done) >= count)


@asynccontextmanager
async def member(consumer: KafkaConsumer, history: History) -> AsyncIterator[Subscriber]:
    """Run a member for the block, and let it leave in order behind it."""
    subscriber = Subscriber(
        consumer,
        history.handle,
        backoff=Backoff(0.05, 1.0),
        limits=Limits(max_in_flight=20, buffer=200, max_poll_records=50),
        commit_seconds=0.5,
    )
    running = asyncio.create_task(subscriber.run())
    try:
        async with asyncio.timeout(SECONDS):
            await subscriber.assigned.wait()
        yield subscriber
    finally:
        subscriber.stop()
        await asyncio.wait_for(running, SECONDS)


@pytest.mark.asyncio
async def test_members_that_join_and_leave_in_order_lose_and_repeat_nothing(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
    record_property: Callable[[str, object], None],
) -> None:
    (topic,) = create_topics("rebalanced", partitions=PARTITIONS)
    history, producer = History(), producers()
    sends = [
        producer.send(OutgoingMessage(topic, f"key-{number % KEYS}".encode(), str(number).encode()))
        for number in range(RECORDS)
    ]
    await asyncio.gather(*sends)

    async with AsyncExitStack() as second_and_third:
        async with member(consumers(topic), history):
            await history.until(RECORDS // 10)
            await second_and_third.enter_async_context(member(consumers(topic), history))
            await history.until(RECORDS * 3 // 10)
            await second_and_third.enter_async_context(member(consumers(topic), history))
            await history.until(RECORDS // 2)
        # the first one has left
        await history.until(RECORDS)

    repeated = sum(history.runs.values()) - len(history.runs)
    record_property(
        MEASURED,
        f"{RECORDS} records, 3 members, 2 joins, 3 leaves: {RECORDS - len(history.done)} lost, {repeated} repeated, "
        f"{len(history.disorder)} out of order",
    )
    assert len(history.done) == RECORDS, "a record was lost"
    assert history.disorder == []
    assert repeated == 0, "who gives partitions back in order has committed what it did"
