"""Keep what a consumer may hand out in step with what its listener has been told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import RebalanceListener

_log = logging.getLogger(__name__)

FetchedRecords: TypeAlias = Mapping[KafkaPartition, Sequence[Message]]
Begin: TypeAlias = Callable[[Collection[KafkaPartition]], Awaitable[Mapping[KafkaPartition, OffsetAndMetadata | None]]]
"""Where fetching begins: what was committed for each partition, from where it is now fetched."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Bridge aiokafka's rebalances to a `RebalanceListener`, and hold records back until it knows their partitions.

    The listener is told of an assignment once its committed positions are known. aiokafka fetches from new partitions
    while the listener is still being told of them. Records wait here meanwhile; when the assignment they came from
    ends first, they are dropped: whoever owns it next reads them again from the committed offsets.

    Args:
        listener: Who is told.
        begin: Reads the committed positions and has fetching begin there.
        deadline_seconds: How long that may take.
    """

    def __init__(self, listener: RebalanceListener, begin: Begin, deadline_seconds: float) -> None:
        self._listener = listener
        self._begin = begin
        self._deadline = deadline_seconds
        self._decided = asyncio.Event()
        self._failed = asyncio.Event()
        self._failure: Exception | None = None
        self._held: dict[TopicPartition, list[Message]] = {}
        self._told: frozenset[TopicPartition] = frozenset()
        self._ending = asyncio.Lock()
        self._is_over = False
        self.partitions: frozenset[TopicPartition] = frozenset()
        """What the listener has been told of and has not given back yet."""

    @property
    def is_settled(self) -> bool:
        """Say whether the listener knows the present assignment."""
        return self._decided.is_set() and self._failure is None

    async def settled(self) -> None:
        """Wait until the listener knows the present assignment.

        Raises:
            Exception: what kept the committed positions from being read.
        """
        await self._decided.wait()
        self.check()

    async def failed(self) -> None:
        """Wait until this membership cannot go on; `check` says why."""
        await self._failed.wait()

    def check(self) -> None:
        """Raise what kept the committed positions from being read, if anything did."""
        if self._failure is not None:
            raise self._failure

    def holds(self, wanted: Collection[TopicPartition] | None) -> bool:
        """Say whether a record of the wanted partitions waits to be taken."""
        return bool(self._held) if wanted is None else any(partition in self._held for partition in wanted)

    @property
    def held_from(self) -> Mapping[TopicPartition, int]:
        """Return the offset of the first record that waits to be taken, by partition; from any thread."""
        return {partition: records[0].offset for partition, records in list(self._held.items()) if records}

    def hold(self, fetched: FetchedRecords) -> None:
        """Hold records until they are taken."""
        for partition, records in fetched.items():
            self._held.setdefault(ours(partition), []).extend(records)

    async def take(self, wanted: Collection[TopicPartition] | None, most: int | None) -> Sequence[Message]:
        """Return what is held of the wanted partitions, once the listener knows them.

        Whatever is not wanted, is too much, or is waited for when this is cancelled, stays held.

        Args:
            wanted: None for all.
            most: None for no limit.

        Raises:
            Exception: what kept the committed positions from being read.
        """
        if not self.holds(wanted):
            return ()
        await self.settled()
        taken: list[Message] = []
        for partition in [each for each in self._held if wanted is None or each in wanted]:
            records = self._held.pop(partition)
            room = len(records) if most is None else most - len(taken)
            taken += records[:room]
            if len(records) > room:
                self._held[partition] = records[room:]
        return taken

    # aiokafka awaits what these return; only its abstract class says None.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[KafkaPartition]
    ) -> None:
        """Drop what is held and tell the listener."""
        await self._end()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[KafkaPartition]
    ) -> None:
        """Read the committed positions, tell the listener, then let records pass."""
        if not self._may_begin():
            return
        try:
            async with asyncio.timeout(self._deadline):
                positions = await self._begin(frozenset(assigned))
        except Exception as error:  # noqa: BLE001 - aiokafka would log it and read on; `poll` gives the client up
            self._fail(error)
            return
        if not self._may_begin():
            return  # it ended meanwhile, and the listener was told so
        committed = {ours(partition): _position(at) for partition, at in positions.items()}
        self._told = self.partitions = frozenset(committed)
        try:
            await self._listener.on_assigned(committed)
        finally:
            self._decided.set()

    def _may_begin(self) -> bool:
        return not self._is_over and self._failure is None

    async def close(self) -> None:
        """Tell the listener that every partition is gone, and of no other assignment after it."""
        self._is_over = True
        await self._end()

    async def _end(self) -> None:
        """Tell the listener that every partition is gone; nothing when it has none."""
        async with self._ending:
            if self._failure is None:
                self._decided.clear()
            self._held.clear()
            told, self._told = self._told, frozenset()
            try:
                if told:
                    await self._listener.on_revoked(told)
            finally:
                self.partitions = frozenset()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._failed.set()
        self._decided.set()


def ours(partition: KafkaPartition) -> TopicPartition:
    """Return aiokafka's partition as the ports name it."""
    return TopicPartition(partition.topic, partition.partition)


def theirs(partition: TopicPartition) -> KafkaPartition:
    """Return the ports' partition as aiokafka names it."""
    return KafkaPartition(partition.topic, partition.partition)


def _position(committed: OffsetAndMetadata | None) -> Position | None:
    return None if committed is None else Position(committed.offset, committed.metadata)
