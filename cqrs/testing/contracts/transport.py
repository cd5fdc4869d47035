"""What a transport gives to its contract suites, and what these need to look at it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.invalidation import TopicReader
from cqrs.messaging.message import Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.ports import Consumer, Producer
from cqrs.testing.contracts.contract import SECONDS

POLL_SECONDS = 0.2


class Transport(Protocol):
    """Make the parts of one transport for one test, and close them behind it."""

    async def create_topic(self, partitions: int = 1) -> str:
        """Create a topic that no other test has, and return its name."""
        ...

    def producer(self) -> Producer:
        """Return a producer that can be used at once."""
        ...

    def consumer(self, topic: str, group_id: str = "readers") -> Consumer:
        """Return a further member of a group, not started; groups of one name are apart where their topics are."""
        ...

    def topic_reader(self, topic: str) -> TopicReader:
        """Return a reader beside all groups, not started."""
        ...

    async def take_away(self) -> None:
        """Let the broker go away as a crash does, its records kept."""
        ...

    async def bring_back(self) -> None:
        """Let it answer again."""
        ...


class RecordingListener:
    """Be a `RebalanceListener` that remembers what it was told.

    Args:
        consumer: Where to commit when partitions are taken away, as delivery does; None commits nothing then.

    Attributes:
        committed: What was committed for each partition that it has, when it was told.
        positions: What it is to commit when they are taken away.
        assignments: How often it was told of new partitions.
        revocations: What was taken away, each time.
    """

    def __init__(self, consumer: Consumer | None = None) -> None:
        self._consumer = consumer
        self._changed = asyncio.Condition()
        self.committed: dict[TopicPartition, Position | None] = {}
        self.positions: dict[TopicPartition, Position] = {}
        self.assignments = 0
        self.revocations: list[frozenset[TopicPartition]] = []

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Remember the partitions."""
        async with self._changed:
            self.committed = dict(committed)
            self.assignments += 1
            self._changed.notify_all()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget the partitions, and commit what is to be committed of them."""
        self.revocations.append(partitions)
        if self._consumer is not None and self.positions:
            await self._consumer.commit(self.positions)
        async with self._changed:
            self.committed, self.positions = {}, {}
            self._changed.notify_all()

    async def until_it_has(self, count: int) -> frozenset[TopicPartition]:
        """Wait until it has so many partitions, and return them.

        Raises:
            TimeoutError: it had not in time.
        """
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.committed) == count)
            return frozenset(self.committed)


def message(
    topic: str, value: bytes | None, *, key: bytes | None = b"k", partition: int | None = None
) -> OutgoingMessage:
    """Return a message without headers."""
    return OutgoingMessage(topic, key, value, (), partition)


async def send_all(producer: Producer, *messages: OutgoingMessage) -> list[Receipt]:
    """Send one after the other, and return where they were stored."""
    return [await producer.send(each) for each in messages]


async def patiently_send(producer: Producer, sent: OutgoingMessage) -> Receipt:
    """Send as delivery does: again, while the broker is away.

    Raises:
        TimeoutError: it did not come back in time.
    """
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await producer.send(sent)
            except DependencyUnavailableException:
                await asyncio.sleep(POLL_SECONDS)


async def read(
    consumer: Consumer, count: int, partitions: Sequence[TopicPartition] | None = None, *, patiently: bool = False
) -> list[Message]:
    """Poll until there are at least `count` records, and return them.

    Args:
        consumer: A consumer that was started.
        count: How many.
        partitions: Where from.
        patiently: Whether a broker that is away is waited for.

    Raises:
        DependencyUnavailableException: it is away.
        TimeoutError: there were not so many in time.
    """
    found: list[Message] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            try:
                found += await consumer.poll(POLL_SECONDS, partitions)
            except DependencyUnavailableException:
                if not patiently:
                    raise
    return found


async def values_of(transport: Transport, topic: str, count: int) -> list[bytes | None]:
    """Read a topic from its beginning in a group of its own, and return the values."""
    consumer = transport.consumer(topic, "onlookers")
    await consumer.start(RecordingListener())
    try:
        return [each.value for each in await read(consumer, count)]
    finally:
        await consumer.stop()
