"""What was read of a partition that goes before its turn comes is run by the next owner, once, and by nobody else."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome
from cqrs.messaging.message import OutgoingMessage, TopicPartition
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber

SECONDS = 60.0
RECORDS = 200
PARTITIONS = 4


class Work:
    """Count runs; hold the first member's records until they may end."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[int, int]] = Counter()
        self.done: set[tuple[int, int]] = set()
        self.by: dict[tuple[int, int], set[str]] = {}
        self.opened = asyncio.Event()
        self._changed = asyncio.Condition()

    def of(self, member: str) -> Callable[[Delivery], "asyncio.Future[Outcome]"]:
        async def handle(delivery: Delivery) -> Outcome:
            place = (delivery.message.partition, delivery.message.offset)
            self.runs[place] += 1
            self.by.setdefault(place, set()).add(member)
            await self._tell()
            await self.opened.wait()
            self.done.add(place)
            await self._tell()
            return HANDLED

        return handle  # type: ignore[return-value]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Watched(Subscriber):
    """Tell when partitions are about to be given back."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.rebalancing = asyncio.Event()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.rebalancing.set()
        await super().on_revoked(partitions)


def member(consumer: KafkaConsumer, work: Work, name: str) -> Watched:
    return Watched(
        consumer,
        work.of(name),
        backoff=Backoff(0.05, 1.0),
        limits=Limits(max_in_flight=3, buffer=RECORDS),
        commit_seconds=60.0,
    )


@pytest.mark.asyncio
async def test_buffered_records_of_a_revoked_partition_are_left_to_its_next_owner(
    create_topics: Callable[..., list[str]],
    consumers: Callable[..., KafkaConsumer],
    producers: Callable[..., KafkaProducer],
) -> None:
    (topic,) = create_topics("revoked", partitions=PARTITIONS)
    producer, work = producers(), Work()
    await asyncio.gather(
        *(
            producer.send(OutgoingMessage(topic, str(number).encode(), b"v", partition=number % PARTITIONS))
            for number in range(RECORDS)
        )
    )
    first, second = member(consumers(topic), work, "first"), member(consumers(topic), work, "second")
    running = [asyncio.create_task(first.run())]
    await work.until(lambda: len(work.runs) == 3)  # three in hand, the others read and waiting for their turn
    running.append(asyncio.create_task(second.run()))
    await asyncio.wait_for(first.rebalancing.wait(), SECONDS)
    work.opened.set()
    await work.until(lambda: len(work.done) == RECORDS)
    for each in (first, second):
        each.stop()
    await asyncio.wait_for(asyncio.gather(*running), SECONDS)

    assert set(work.runs.values()) == {1}, "what was read and not begun is not run by the member that gave it back"
    assert {name for names in work.by.values() for name in names} == {"first", "second"}
