"""A broker in memory: the ports of `cqrs.messaging` without a network, for tests that are about something else."""

import asyncio
import zlib
from collections.abc import Collection, Mapping, Sequence

from cqrs.exceptions import DependencyUnavailableException, NoSuchPartitionException, UnpublishableEventException
from cqrs.messaging.invalidation import Reading
from cqrs.messaging.message import Headers, Message, OutgoingMessage, Position, Receipt, TopicPartition
from cqrs.messaging.ports import LogEnd, RebalanceListener

_METADATA_BYTES = 4_096  # as Kafka's offset.metadata.max.bytes is when it is not set


class MemoryBroker:
    """Keep topics as lists of messages.

    Args:
        topics: The topics' names and partition counts.

    Attributes:
        is_away: Set it, and everything is answered as by a broker that is away; what is stored stays.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._logs: dict[TopicPartition, list[Message]] = {
            TopicPartition(topic, number): [] for topic, count in topics.items() for number in range(count)
        }
        self._counts = dict(topics)
        self._grown = asyncio.Condition()
        self._groups: dict[str, dict[TopicPartition, Position]] = {}
        self.is_away = False

    @property
    def topics(self) -> Mapping[str, int]:
        """Return the topics' names and partition counts."""
        return dict(self._counts)

    @property
    def committed(self) -> dict[TopicPartition, Position]:
        """Return what the group without a name has committed."""
        return self.committed_by("")

    def committed_by(self, group_id: str) -> dict[TopicPartition, Position]:
        """Return what a group has committed."""
        return self._groups.setdefault(group_id, {})

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic; the records of one that exists are kept."""
        self._counts[name] = partitions
        for number in range(partitions):
            self._logs.setdefault(TopicPartition(name, number), [])

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return where the next record of each partition of `topic` will lie."""
        self.require_answer()
        return {place: len(log) for place, log in self._logs.items() if place.topic == topic}

    def require_answer(self) -> None:
        """Raise what a client of Kafka does that has no answer.

        Raises:
            DependencyUnavailableException: the broker is away.
        """
        if self.is_away:
            raise DependencyUnavailableException("kafka", "the broker in memory is away")

    def messages(self, topic: str) -> list[Message]:
        """Return every message of `topic`, partition by partition."""
        return [message for place, log in self._logs.items() if place.topic == topic for message in log]

    def end_of(self, partition: TopicPartition) -> int:
        """Return the offset behind the last message of `partition`."""
        return len(self._logs[partition])

    async def append(self, message: OutgoingMessage) -> Receipt:
        """Store `message` and return where.

        Raises:
            DependencyUnavailableException: the broker is away.
            UnpublishableEventException: there is no such topic or partition.
        """
        self.require_answer()
        if message.topic not in self._counts:
            raise UnpublishableEventException(f"topic {message.topic!r} does not exist; create it first")
        partition = message.partition if message.partition is not None else self._partition(message)
        log = self._logs.get(TopicPartition(message.topic, partition))
        if log is None:
            count = self._counts[message.topic]
            raise NoSuchPartitionException(f"topic {message.topic!r} has no partition {partition}", count)
        async with self._grown:
            log.append(_stored(message, partition, len(log)))
            self._grown.notify_all()
        return Receipt(message.topic, partition, len(log) - 1)

    async def read(
        self, positions: Mapping[TopicPartition, int], timeout_seconds: float, most: int | None = None
    ) -> list[Message]:
        """Return the records from `positions` on, at most `most`, waiting for the first one for `timeout_seconds`.

        Raises:
            DependencyUnavailableException: the broker is away.
        """
        self.require_answer()
        try:
            async with asyncio.timeout(timeout_seconds), self._grown:
                await self._grown.wait_for(
                    lambda: any(len(self._logs[at]) > offset for at, offset in positions.items())
                )
        except TimeoutError:
            return []
        found: list[Message] = []
        for at, offset in positions.items():
            found += self._logs[at][offset : None if most is None else offset + most - len(found)]
        return found

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
    """Read topics of a `MemoryBroker` as the only member of its group.

    Args:
        broker: Where to read.
        topics: What to read.
        group_id: The group.

    Attributes:
        start_failures: Errors that the next starts raise, first to last.
        failures: Errors that the next polls raise, first to last.
        commit_failures: Errors that the next commits raise, first to last, before anything is kept.
        stopped: Whether it has left the group.
        polls: How often it was polled.
    """

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group_id: str = "") -> None:
        self._broker = broker
        self._topics = topics
        self._committed = broker.committed_by(group_id)
        self._positions: dict[TopicPartition, int] = {}
        self._listener: RebalanceListener | None = None
        self._epoch = 0
        self._is_known = True
        self.start_failures: list[Exception] = []
        self.failures: list[Exception] = []
        self.commit_failures: list[Exception] = []
        self.stopped = False
        self.polls = 0

    async def start(self, listener: RebalanceListener) -> None:
        """Take every partition from its committed position; see `Consumer.start`."""
        if self.start_failures:
            raise self.start_failures.pop(0)
        self._broker.require_answer()
        if self._listener is None:
            self._listener = listener
            await self.reassign(self._all())

    async def reassign(self, partitions: frozenset[TopicPartition]) -> None:
        """Rebalance: revoke what is assigned, then assign `partitions` from their committed positions."""
        listener = await self._revoke()
        self._is_known = True
        committed = {each: self._committed.get(each) for each in sorted(partitions, key=_place)}
        self._positions = {each: at.offset if at else 0 for each, at in committed.items()}
        await listener.on_assigned(committed)

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        """Return what came since the last poll; see `Consumer.poll`. A limit is shared by turns."""
        self.polls += 1
        if self.failures:
            raise self.failures.pop(0)
        epoch = self._epoch
        wanted = {} if max_records is not None and max_records < 1 else self._wanted(partitions)
        messages = await self._broker.read(wanted, timeout_seconds, max_records)
        if epoch != self._epoch:
            return ()  # they were revoked meanwhile
        for message in messages:
            partition = TopicPartition(message.topic, message.partition)
            self._positions.pop(partition)
            self._positions[partition] = message.offset + 1  # the last to be read by the next poll
        return messages

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        """Keep the positions of partitions that are assigned, and return the others; see `Consumer.commit`.

        Raises:
            DependencyUnavailableException: metadata has more bytes than brokers take.
        """
        if self.commit_failures:
            raise self.commit_failures.pop(0)
        self._broker.require_answer()
        if any(len(at.metadata.encode()) > _METADATA_BYTES for at in positions.values()):
            raise DependencyUnavailableException("memory", "the broker refuses so much commit metadata")
        lost = positions.keys() - (self._positions.keys() if self._is_known else ())
        self._committed.update({each: at for each, at in positions.items() if each not in lost})
        return lost

    def taken_away(self) -> None:
        """Be a member that the group has given up without its knowing: its commits come too late until `reassign`."""
        self._is_known = False

    def log_ends(self) -> Mapping[TopicPartition, LogEnd]:
        """Return where the assigned partitions end; see `Consumer.log_ends`."""
        return {each: LogEnd(self._broker.end_of(each), at) for each, at in list(self._positions.items())}

    async def stop(self) -> None:
        """Leave the group without committing anything."""
        self._listener = None
        self._positions = {}
        self._epoch += 1
        self.stopped = True

    async def _revoke(self) -> RebalanceListener:
        if self._listener is None:
            raise RuntimeError("MemoryConsumer.reassign() needs start() first")
        self._epoch += 1
        if self._positions:
            await self._listener.on_revoked(frozenset(self._positions))
        self._positions = {}
        return self._listener

    def _all(self) -> frozenset[TopicPartition]:
        counts = self._broker.topics
        return frozenset(TopicPartition(topic, number) for topic in self._topics for number in range(counts[topic]))

    def _wanted(self, partitions: Collection[TopicPartition] | None) -> dict[TopicPartition, int]:
        return {at: offset for at, offset in self._positions.items() if partitions is None or at in partitions}


class MemoryTopicReader:
    """Read every record of one topic of a `MemoryBroker` from now on; see `TopicReader`."""

    def __init__(self, broker: MemoryBroker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._positions: dict[TopicPartition, int] | None = None
        self._is_first = True

    async def start(self) -> None:
        """Take every partition at its end."""
        if self._positions is None:
            self._positions = self._broker.ends(self._topic)

    async def poll(self, timeout_seconds: float) -> Reading:
        """Return what came since the last poll; see `TopicReader.poll`."""
        if self._positions is None:
            raise RuntimeError("MemoryTopicReader.poll() needs start() first")
        messages = await self._broker.read(self._positions, 0.0 if self._is_first else timeout_seconds)
        self._positions |= {TopicPartition(each.topic, each.partition): each.offset + 1 for each in messages}
        missed, self._is_first = self._is_first, False
        return Reading(messages, missed)

    async def stop(self) -> None:
        """Read no further."""
        self._positions = None


def _place(partition: TopicPartition) -> tuple[str, int]:
    return partition.topic, partition.partition


def _stored(message: OutgoingMessage, partition: int, offset: int) -> Message:
    headers: Headers = tuple(message.headers)
    return Message(message.topic, partition, offset, message.key, message.value, headers, timestamp_ms=offset)
