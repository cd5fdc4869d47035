"""Be the only one who redrives the dead letters of a group: the only member of the group that keeps what is settled."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from cqrs.exceptions import CqrsException, DependencyUnavailableException
from cqrs.messaging.message import Position, TopicPartition
from cqrs.messaging.ports import Consumer

_POLL_SECONDS = 0.1


class RedriveBusyException(CqrsException):
    """Report that somebody else redrives, or has redriven, the same dead letters."""


class Positions(Protocol):
    """Know what groups have committed."""

    async def positions(
        self, group_id: str, partitions: Collection[TopicPartition]
    ) -> Mapping[TopicPartition, Position | None]:
        """Return what the group has committed for each of `partitions`; None for nothing.

        Raises:
            DependencyUnavailableException: the broker does not say.
        """
        ...


class RedriveSession:
    """Join the group, and work only while it has given every partition to this member.

    Args:
        consumer: A member of the group; it is polled for nothing but its membership.
        positions: Says whether a commit has arrived.
        group_id: The group.
        partitions: Every partition of the dead letter topics.
        patience_seconds: How long one that is at work waits for partitions that went to others.
        joining_seconds: How long one that joins waits for them: less, so that it gives way, and longer than it takes
            the group to notice that somebody left.
    """

    def __init__(
        self,
        consumer: Consumer,
        positions: Positions,
        group_id: str,
        partitions: Collection[TopicPartition],
        patience_seconds: float,
        joining_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._positions = positions
        self._group_id = group_id
        self._partitions = frozenset(partitions)
        self._patience, self._joining = patience_seconds, joining_seconds
        self._owned: frozenset[TopicPartition] = frozenset()
        self._has_all = asyncio.Event()
        self._working = asyncio.Lock()
        self._is_open = self._is_overtaken = False
        self.committed: dict[TopicPartition, Position | None] = {}
        """What the group has committed for each partition, as this member knows it."""

    async def open(self) -> None:
        """Join, and return when every partition is this member's.

        Of several who join at once the one that is given the first partition stays.

        Raises:
            RedriveBusyException: another one is at work.
            DependencyUnavailableException: the broker is away.
        """
        await self._consumer.start(self)
        if not self._has_all.is_set():
            first = min(self._partitions, key=lambda each: (each.topic, each.partition))
            if first not in self._owned:
                raise self._busy()
            await self._regain(self._joining)
        self._is_open = True

    async def close(self) -> None:
        """Leave the group; harmless when called again."""
        await self._consumer.stop()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Work inside the block: the partitions stay this member's until it ends, or their loss is seen by `commit`.

        Raises:
            RedriveBusyException: another one took them, and went on or did not give them back.
            DependencyUnavailableException: the broker is away.
        """
        while True:
            if not self._has_all.is_set():
                await self._regain(self._patience)
            async with self._working:
                if not self._has_all.is_set():
                    continue
                if self._is_overtaken:
                    raise RedriveBusyException(f"another redrive went on in group {self._group_id}; look again")
                yield
                return

    async def commit(self, partition: TopicPartition, position: Position) -> None:
        """Commit, and return when the group says so; to be called inside of `turn`.

        Raises:
            RedriveBusyException: the group did not take it from this member.
            DependencyUnavailableException: the broker is away.
        """
        await self._patiently(partition, position)
        found = await self._positions.positions(self._group_id, [partition])
        if found[partition] != position:
            raise RedriveBusyException(
                f"group {self._group_id} did not take the commit for {partition.topic}[{partition.partition}]: "
                "another redrive is at work; what was sent just now may be sent again"
            )
        self.committed[partition] = position

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        """Take note of the partitions."""
        self._owned = frozenset(committed)
        if self._is_open:
            self._is_overtaken |= any(self.committed.get(each) != at for each, at in committed.items())
        else:
            self.committed |= committed
        if self._owned >= self._partitions:
            self._has_all.set()

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Give the partitions back when the work in hand is done and committed."""
        self._has_all.clear()
        async with self._working:
            self._owned = frozenset()

    async def _patiently(self, partition: TopicPartition, position: Position) -> None:
        """Commit, and try again while the broker is away: what was sent would be sent again."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                await self._consumer.commit({partition: position})
            except DependencyUnavailableException:
                if time.monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _regain(self, seconds: float) -> None:
        """Wait until every partition is this member's."""
        trouble: Exception | None = None
        try:
            async with asyncio.timeout(seconds):
                while not self._has_all.is_set():
                    try:
                        await self._consumer.poll(_POLL_SECONDS, ())
                        trouble = None
                    except DependencyUnavailableException as error:
                        trouble = error
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise (trouble or self._busy()) from None

    def _busy(self) -> RedriveBusyException:
        return RedriveBusyException(
            f"another redrive is at work: it is a member of group {self._group_id}. Wait for its end, or stop it"
        )
