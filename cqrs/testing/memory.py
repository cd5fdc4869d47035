"""A broker in memory: the ports of `cqrs.messaging` without a network, for tests that are about something else."""

import asyncio
import zlib
from collections.abc import Collection, Mapping, Sequence

from cqrs.exceptions import UnpublishableEventException
from cqrs.messaging.message import Headers, Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.ports import RebalanceListener


class MemoryBroker:
    """Keep topics as lists of messages.

    Args:
        topics: The topics' names and partition counts.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._logs: dict[TopicPartition, list[Message]] = {
            TopicPartition(topic, number): [] for topic, count in topics.items() for number in range(count)
        }
        self._counts = dict(topics)
        self._grown = asyncio.Condition()
        self.committed: dict[TopicPartition, Position] = {}

    @property
    def topics(self) -> Mapping[str, int]:
        """Return the topics' names and partition counts."""
        return dict(self._counts)

    def messages(self, topic: str) -> list[Message]:
        """Return every message of `topic`, partition by partition."""
        return [message for place, log in self._logs.items() if place.topic == topic for message in log]

    async def append(self, message: OutgoingMessage) -> Receipt:
        """Store `message` and return where.

        Raises:
            UnpublishableEventException: there is no such topic or partition.
        """
        if message.topic not in self._counts:
            raise UnpublishableEventException(f"topic {message.topic!r} does not exist; create it first")
        partition = message.partition if message.partition is not None else self._partition(message)
        log = self._logs.get(TopicPartition(message.topic, partition))
        if log is None:
            raise UnpublishableEventException(f"topic {message.topic!r} has no partition {partition}")
        async with self._grown:
            log.append(_stored(message, partition, len(log)))
            self._grown.notify_all()
        return Receipt(message.topic, partition, len(log) - 1)

    async def read(self, positions: Mapping[TopicPartition, int], timeout_seconds: float) -> list[Message]:
        """Return everything from `positions` on, waiting for the first message at most `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds), self._grown:
                await self._grown.wait_for(
                    lambda: any(len(self._logs[at]) > offset for at, offset in positions.items())
                )
        except TimeoutError:
            return []
        return [message for at, offset in positions.items() for message in self._logs[at][offset:]]

    def _partition(self, message: OutgoingMessage) -> int:
        return zlib.crc32(message.key or b"") % self._counts[message.topic]


class MemoryProducer:
    """Send to a `MemoryBroker`.

    Attributes:
        failures: Errors that the next sends raise, first to last, before any message is stored.
    """

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.failures: list[Exception] = []

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Store `message`; see `Producer.send`."""
        if self.failures:
            raise self.failures.pop(0)
        return await self._broker.append(message)


class MemoryConsumer:
    """Read topics of a `MemoryBroker` as the only member of the group.

    Attributes:
        failures: Errors that the next polls raise, first to last.
        commit_failures: Errors that the next commits raise, first to last.
    """

    def __init__(self, broker: MemoryBroker, topics: Sequence[str]) -> None:
        self._broker = broker
        self._topics = topics
        self._positions: dict[TopicPartition, int] = {}
        self._listener: RebalanceListener | None = None
        self.failures: list[Exception] = []
        self.commit_failures: list[Exception] = []
        self.stopped = False

    async def start(self, listener: RebalanceListener) -> None:
        """Take every partition from its committed offset; see `Consumer.start`."""
        self._listener = listener
        counts = self._broker.topics
        await self.reassign(
            frozenset(TopicPartition(topic, number) for topic in self._topics for number in range(counts[topic]))
        )

    async def reassign(self, partitions: frozenset[TopicPartition]) -> None:
        """Rebalance: revoke what is assigned, then assign `partitions` from their committed offsets."""
        if self._listener is None:
            raise RuntimeError("MemoryConsumer.reassign() needs start() first")
        if self._positions:
            await self._listener.on_revoked(frozenset(self._positions))
        committed = {each: self._broker.committed.get(each) for each in partitions}
        self._positions = {each: at.offset if at else 0 for each, at in committed.items()}
        await self._listener.on_assigned(committed)

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        """Return what came since the last poll; see `Consumer.poll`."""
        if self.failures:
            raise self.failures.pop(0)
        wanted = self._positions if partitions is None else _only(self._positions, partitions)
        messages = (await self._broker.read(wanted, timeout_seconds))[:max_records]
        if not self._positions.keys() >= wanted.keys():
            return ()  # they were revoked meanwhile
        for message in messages:
            self._positions[TopicPartition(message.topic, message.partition)] = message.offset + 1
        return messages

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Keep `positions`; see `Consumer.commit`."""
        if self.commit_failures:
            raise self.commit_failures.pop(0)
        self._broker.committed.update(positions)

    async def stop(self) -> None:
        """Leave the group."""
        self.stopped = True


def _only(positions: Mapping[TopicPartition, int], partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    return {each: offset for each, offset in positions.items() if each in partitions}


def _stored(message: OutgoingMessage, partition: int, offset: int) -> Message:
    headers: Headers = tuple(message.headers)
    return Message(message.topic, partition, offset, message.key, message.value, headers, timestamp_ms=offset)
