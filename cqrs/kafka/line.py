"""One client of a group, from its joining to its end."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence

from aiokafka.errors import CommitFailedError, IllegalStateError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from cqrs.kafka.closing import abandon_consumer, ends_within
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.membership import Begin, Membership, ours, theirs
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import LogEnd, RebalanceListener

_log = logging.getLogger(__name__)

_MARGIN_SECONDS = 0.05


class Line:
    """Hold one client, and what its group has given to it; when it fails, it is ended, and another made.

    Every wait for the broker has a deadline.

    Args:
        client: Not started yet.
        listener: Who is told of the partitions.
        begin: Reads the committed positions and has fetching begin there.
        request_seconds: How long one request, and one commit, may take.

    Attributes:
        left_behind: After its end, by what name the group still knows this member because it did not hear of its
            leaving; otherwise nothing.
    """

    def __init__(
        self, client: TolerantConsumer, listener: RebalanceListener, begin: Begin, request_seconds: float
    ) -> None:
        self._client = client
        self._membership = Membership(listener, begin, request_seconds)
        self._request_seconds = request_seconds
        self.left_behind = ""

    async def join(
        self, topics: Collection[str], start_seconds: float, rebalance_seconds: float, known_as: str
    ) -> None:
        """Join the group and return once the listener knows its partitions.

        Args:
            topics: What to read.
            start_seconds: How long it may take beside the time that the group gives its members.
            rebalance_seconds: How long the group waits for members that still have work in hand.
            known_as: What the line before this one has `left_behind`.

        Raises:
            Exception: whatever went wrong; the line has to be ended.
        """
        self._client.subscribe(topics=topics, listener=self._membership)
        async with asyncio.timeout(start_seconds) as deadline:
            await self._client.start(_Extension(deadline, start_seconds + rebalance_seconds), known_as)
            await self._membership.settled()

    async def poll(
        self, timeout_seconds: float, wanted: Collection[TopicPartition] | None, most: int
    ) -> Sequence[Message]:
        """Return records that the listener is ready for; nothing while the group is rebalancing.

        Raises:
            Exception: the client cannot go on and has to be ended.
        """
        self._membership.check()
        self._client.check()
        with contextlib.suppress(TimeoutError):
            # getmany() itself would wait for the end of a rebalance, however long.
            async with asyncio.timeout(timeout_seconds + _MARGIN_SECONDS):
                if not self._membership.holds(wanted):
                    await self._fetch(timeout_seconds, wanted, most)
                return await self._membership.take(wanted, most)
        return ()

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> set[TopicPartition]:
        """Commit, and return the partitions that are not this member's any more and so were left out.

        Raises:
            KafkaError: the broker refuses it.
            OSError: no answer came in time, or the connection broke.
        """
        lost = set(positions) - self._membership.partitions
        owned = {
            theirs(each): OffsetAndMetadata(at.offset, at.metadata)
            for each, at in positions.items()
            if each not in lost
        }
        try:
            if owned:
                async with asyncio.timeout(self._request_seconds):
                    await self._client.commit(owned)
        except (CommitFailedError, IllegalStateError):
            return set(positions)
        return lost

    async def ask(self, seconds: float) -> None:
        """Have a broker answer while there is nothing to fetch: no room, no partitions, or a rebalance.

        Raises:
            KafkaError: the broker refuses to answer.
            TimeoutError: no broker answers in `seconds`.
        """
        async with asyncio.timeout(seconds):
            await self._client.ask_broker()

    def log_ends(self) -> Mapping[TopicPartition, LogEnd]:
        """Return where the partitions end of which something was fetched; from any thread."""
        held = self._membership.held_from
        ends = self._client.log_ends
        return {ours(place): LogEnd(end, held.get(ours(place), position)) for place, (end, position) in ends.items()}

    @property
    def silence_seconds(self) -> float:
        """Return how long a fetch has been owed and not answered."""
        return self._client.silence_seconds if self._membership.is_settled else 0.0

    @property
    def quiet_seconds(self) -> float:
        """Return how long no broker has answered anything."""
        return self._client.quiet_seconds

    @property
    def trouble(self) -> str:
        """Return what a broker last answered instead of records, or nothing."""
        return self._client.trouble

    def refused_positions(self, error: OffsetOutOfRangeError) -> Mapping[TopicPartition, int]:
        """Return the positions that a broker has refused: those of `error`, which `poll` raised, and others."""
        refused = {**self._client.refused_positions, **error.args[0]}
        return {ours(place): offset for place, offset in refused.items()}

    async def end(self, leave_seconds: float) -> bool:
        """Have the listener end its work, which may still be committed, then leave the group; see `close`."""
        try:
            await self._membership.close()
        except Exception:  # noqa: BLE001 - as aiokafka does: a listener must not keep the client from being replaced
            _log.exception("The listener failed when it lost its partitions")
        finally:
            left = await self.close(leave_seconds)
        return left

    async def close(self, leave_seconds: float) -> bool:
        """Leave the group and free everything; say whether the group heard of it in time."""
        try:
            return await ends_within(self._client.stop(), leave_seconds)
        finally:
            self.left_behind = self._client.member_id
            await abandon_consumer(self._client)

    async def _fetch(self, timeout_seconds: float, wanted: Collection[TopicPartition] | None, most: int) -> None:
        assigned = self._client.assignment()
        places = [place for place in map(theirs, wanted or ()) if place in assigned]
        if wanted is None or places:
            fetched = await self._client.take(*places, timeout_ms=int(timeout_seconds * 1000), max_records=most)
            self._membership.hold(fetched)
            return
        with contextlib.suppress(TimeoutError):  # to aiokafka no names would mean all partitions
            async with asyncio.timeout(timeout_seconds):
                await self._membership.failed()


class _Extension:
    """Extend a deadline when it is called, once, and only while it runs."""

    def __init__(self, deadline: asyncio.Timeout, seconds: float) -> None:
        self._deadline: asyncio.Timeout | None = deadline
        self._seconds = seconds

    def __call__(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and not deadline.expired():
            deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)
