"""Keep what a consumer may hand out in step with what its listener has been told."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import ConsumerRecord
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.messaging.message import Message, TopicPartition
from cqrs.messaging.ports import RebalanceListener

_log = logging.getLogger(__name__)

FetchedRecords = Mapping[KafkaPartition, Sequence[ConsumerRecord[bytes, bytes]]]


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Bridge aiokafka's rebalances to a `RebalanceListener`, and hold records back until it knows their partitions.

    aiokafka fetches from new partitions while the listener is still being told of them. Records wait here meanwhile;
    when the assignment they came from ends first, they are dropped: whoever owns it next reads them again from the
    committed offsets.

    Args:
        listener: Who is told.
    """

    def __init__(self, listener: RebalanceListener) -> None:
        self._listener = listener
        self._announced = asyncio.Event()
        self._held: Sequence[Message] = ()
        self._partitions: frozenset[TopicPartition] = frozenset()

    @property
    def is_settled(self) -> bool:
        """Say whether the listener knows the present assignment."""
        return self._announced.is_set()

    @property
    def is_empty(self) -> bool:
        """Say whether nothing waits to be taken."""
        return not self._held

    def hold(self, fetched: FetchedRecords) -> None:
        """Hold records until they are taken."""
        self._held = [to_message(record) for records in fetched.values() for record in records]

    async def take(self) -> Sequence[Message]:
        """Return what is held, once the listener knows the partitions; cancelled meanwhile, it stays held."""
        if self._held:
            await self._announced.wait()
        held, self._held = self._held, ()
        return held

    # aiokafka awaits what these return; only its abstract class says None.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[KafkaPartition]
    ) -> None:
        """Drop what is held and tell the listener."""
        await self.end()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[KafkaPartition]
    ) -> None:
        """Tell the listener, then let records pass."""
        self._partitions = frozenset(ours(partition) for partition in assigned)
        try:
            await self._listener.on_assigned(dict.fromkeys(self._partitions))
        finally:
            self._announced.set()

    async def end(self) -> None:
        """Tell the listener that every partition is gone; nothing when it has none."""
        self._announced.clear()
        self._held = ()
        partitions, self._partitions = self._partitions, frozenset()
        if partitions:
            await self._listener.on_revoked(partitions)


def to_message(record: ConsumerRecord[bytes, bytes]) -> Message:
    """Turn a Kafka record into a `Message`: the only place where one is read."""
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
        timestamp_type=record.timestamp_type,
    )


def ours(partition: KafkaPartition) -> TopicPartition:
    """Return aiokafka's partition as the ports name it."""
    return TopicPartition(partition.topic, partition.partition)


def theirs(partition: TopicPartition) -> KafkaPartition:
    """Return the ports' partition as aiokafka names it."""
    return KafkaPartition(partition.topic, partition.partition)
