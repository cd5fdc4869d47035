"""Read records with aiokafka as one member of a consumer group, and let nothing stop it."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.closing import abandon_consumer, ends_within
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.membership import Membership, theirs
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import RebalanceListener

_log = logging.getLogger(__name__)

# aiokafka leaves the group when nothing is polled for this long. A message may be held for as long as a database is
# away, so the only limit is the largest that the protocol can say: 24 days.
_NEVER_MS = 2**31 - 1
_careful_client = partial(
    TolerantConsumer,
    max_poll_interval_ms=_NEVER_MS,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    isolation_level="read_committed",
)
_MARGIN_SECONDS = 0.05
_LEAVE_SECONDS = 2.0
_SHORTEST_SESSION_SECONDS = 1.0


class KafkaConsumer:
    """Be the `Consumer` port on aiokafka: no commit but the caller's, earliest, read_committed.

    When its client fails in a way that aiokafka does not recover from, the partitions are given back to the listener,
    and the next `poll` joins the group anew, at the committed offsets.

    Args:
        topics: What to read.
        group_id: The consumer group.
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        max_poll_records: The most records that one `poll` returns.
        fetch_max_wait_seconds: How long the broker may wait for a record to come; about 0.02 on the embedded broker,
            whose wait is not ended by one.
        max_partition_fetch_bytes: How much of one partition is asked for at once.
        session_timeout_seconds: How long the group waits for a member that is not heard of; a second or more.
        rebalance_timeout_seconds: How long the group waits for its members to finish their work and join again.
        start_timeout_seconds: How long joining the group may take.
        request_timeout_seconds: How long one request, and one commit, may take.
        stop_timeout_seconds: How long leaving the group may take.
        silence_seconds: How long fetches may go unanswered before `poll` calls the broker away.
        rejoin_seconds: How long they may go unanswered before the client is replaced, its addresses asked for anew.

    Raises:
        ConfigurationException: an address cannot be read, or the session is too short.
    """

    def __init__(
        self,
        topics: Sequence[str],
        group_id: str,
        *,
        bootstrap_servers: str,
        client_id: str = "cqrs",
        max_poll_records: int = 500,
        fetch_max_wait_seconds: float = 0.5,
        max_partition_fetch_bytes: int = 1_048_576,
        session_timeout_seconds: float = 45.0,
        rebalance_timeout_seconds: float = 60.0,
        start_timeout_seconds: float = 30.0,
        request_timeout_seconds: float = 10.0,
        stop_timeout_seconds: float = 10.0,
        silence_seconds: float = 5.0,
        rejoin_seconds: float = 60.0,
    ) -> None:
        self._topics = tuple(topics)
        self._group_id = group_id
        self._start_timeout = start_timeout_seconds
        self._max_poll_records = max_poll_records
        self._request_timeout = request_timeout_seconds
        self._stop_timeout = stop_timeout_seconds
        self._silence = silence_seconds
        self._rejoin = rejoin_seconds
        self._new_client = partial(
            _careful_client,
            bootstrap_servers=checked_addresses(bootstrap_servers),
            client_id=client_id,
            group_id=group_id,
            max_poll_records=max_poll_records,
            fetch_max_wait_ms=_ms(fetch_max_wait_seconds),
            max_partition_fetch_bytes=max_partition_fetch_bytes,
            request_timeout_ms=_ms(request_timeout_seconds),
            session_timeout_ms=_session_ms(session_timeout_seconds),
            heartbeat_interval_ms=_ms(session_timeout_seconds / 3),
            rebalance_timeout_ms=_ms(rebalance_timeout_seconds),
        )
        self._listener: RebalanceListener | None = None
        self._line: _Line | None = None

    async def start(self, listener: RebalanceListener) -> None:
        """Join the group and return once the broker answers; harmless when it has joined.

        Raises:
            DependencyUnavailableException: the broker cannot be reached, or a topic does not exist yet.
        """
        self._listener = listener
        if self._line is None:
            await self._join(listener)

    async def poll(
        self,
        timeout_seconds: float,
        partitions: Collection[TopicPartition] | None = None,
        max_records: int | None = None,
    ) -> Sequence[Message]:
        """Return the next records, in order within each partition; nothing when none came in time.

        Records of other partitions stay where they are, at most one fetch of each; partitions that are not this
        member's any more are ignored.

        Args:
            timeout_seconds: How long to wait for the first record.
            partitions: Where records are wanted from; None for everywhere, nothing to watch over the membership alone.
            max_records: The most that are returned; None for `max_poll_records`.

        Raises:
            DependencyUnavailableException: the broker is away; polling again, after a while, is right.
        """
        line = await self._joined()
        most = self._max_poll_records if max_records is None else max_records
        try:
            messages = await _poll(line, timeout_seconds, partitions if most > 0 else (), most)
        except Exception as error:
            await self._leave(line)
            raise DependencyUnavailableException("kafka", f"reading {self._where}: {error!r}") from error
        if not messages:
            await self._require_contact(line)
        return messages

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit, for each partition, the next record to read and what to note beside it.

        A partition that is not this member's any more is left out, with a log line: its next owner reads on from what
        was committed before.

        Raises:
            DependencyUnavailableException: the commit did not succeed; repeating it is safe.
        """
        assigned = self._line.membership.partitions if self._line else frozenset()
        owned = {
            theirs(partition): OffsetAndMetadata(at.offset, at.metadata)
            for partition, at in positions.items()
            if partition in assigned
        }
        lost = set(positions) - assigned
        if self._line is not None and owned and not await self._commit(self._line.client, owned):
            lost = set(positions)
        if lost:
            places = ", ".join(sorted(f"{partition.topic}[{partition.partition}]" for partition in lost))
            _log.warning("Group %s took %s away from this member: not committed", self._group_id, places)

    async def stop(self) -> None:
        """Leave the group without committing anything; harmless when called again."""
        line, self._line = self._line, None
        self._listener = None
        if line is not None:
            await self._close(line.client, self._stop_timeout)

    @property
    def _where(self) -> str:
        return f"{', '.join(self._topics)} as {self._group_id}"

    async def _joined(self) -> "_Line":
        if self._line is not None:
            return self._line
        if self._listener is None:
            raise ConfigurationException(["The consumer is not running; call start(listener) before poll()."])
        return await self._join(self._listener)

    async def _join(self, listener: RebalanceListener) -> "_Line":
        client = self._new_client()
        line = _Line(client, Membership(listener, client.begin, self._request_timeout))
        line.client.subscribe(topics=self._topics, listener=line.membership)
        try:
            with kafka_failures(f"joining {self._where}"):
                async with asyncio.timeout(self._start_timeout):
                    await line.client.start()
                    await line.membership.settled()
        except BaseException:
            await self._give_back(line)
            raise
        self._line = line
        return line

    async def _leave(self, line: "_Line") -> None:
        """Let go of a client that failed; the next poll makes another."""
        try:
            await self._give_back(line)
        finally:
            if self._line is line:
                self._line = None

    async def _give_back(self, line: "_Line") -> None:
        """Have the listener end its work, which may still be committed, then leave the group."""
        try:
            await line.membership.close()
        except Exception:  # noqa: BLE001 - as aiokafka does: a listener must not keep the client from being replaced
            _log.exception("The listener failed when it lost the partitions of %s", self._where)
        finally:
            await self._close(line.client, _LEAVE_SECONDS)

    async def _close(self, client: TolerantConsumer, seconds: float) -> None:
        try:
            if not await ends_within(client.stop(), seconds):
                _log.warning("Group %s was left without a word: its coordinator does not answer", self._group_id)
        finally:
            await abandon_consumer(client)

    async def _commit(self, client: TolerantConsumer, owned: Mapping[KafkaPartition, OffsetAndMetadata]) -> bool:
        with kafka_failures(f"committing {self._where}"):
            try:
                async with asyncio.timeout(self._request_timeout):
                    await client.commit(dict(owned))
            except (CommitFailedError, IllegalStateError):
                return False
        return True

    async def _require_contact(self, line: "_Line") -> None:
        """Raise when nothing came because nobody answers: aiokafka itself only logs that."""
        silence = line.client.silence_seconds if line.membership.is_settled else 0.0
        quiet = line.client.quiet_seconds
        if max(silence, quiet) > self._rejoin:
            await self._leave(line)
        elif silence <= self._silence:
            if quiet > self._silence:
                await self._ask(line)
            return
        raise DependencyUnavailableException(
            "kafka", f"reading {self._where}: no fetch was answered for {max(silence, quiet):.1f} s"
        )

    async def _ask(self, line: "_Line") -> None:
        """Have a broker answer when there is nothing to fetch: no room, no partitions, or a rebalance."""
        with kafka_failures(f"reading {self._where}"):
            async with asyncio.timeout(self._request_timeout):
                await line.client.ask_broker()


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold one client and what its group has given to it."""

    client: TolerantConsumer
    membership: Membership


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _session_ms(seconds: float) -> int:
    if seconds < _SHORTEST_SESSION_SECONDS:
        raise ConfigurationException(
            [
                f"KAFKA_SESSION_TIMEOUT_MS: {seconds * 1000:g} ms are too short for heartbeats; "
                f"write {_ms(_SHORTEST_SESSION_SECONDS)} or more (brokers ask for 6000 unless they are told otherwise)"
            ]
        )
    return _ms(seconds)


async def _poll(
    line: _Line, timeout_seconds: float, wanted: Collection[TopicPartition] | None, most: int
) -> Sequence[Message]:
    """Return records that the listener is ready for; nothing while the group is rebalancing."""
    line.membership.check()
    line.client.check()
    with contextlib.suppress(TimeoutError):
        # getmany() itself would wait for the end of a rebalance, however long.
        async with asyncio.timeout(timeout_seconds + _MARGIN_SECONDS):
            if not line.membership.holds(wanted):
                await _fetch(line, timeout_seconds, wanted, most)
            return await line.membership.take(wanted, most)
    return ()


async def _fetch(line: _Line, timeout_seconds: float, wanted: Collection[TopicPartition] | None, most: int) -> None:
    assigned = line.client.assignment()
    places = [place for place in map(theirs, wanted or ()) if place in assigned]
    if wanted is None or places:
        fetched = await line.client.getmany(*places, timeout_ms=int(timeout_seconds * 1000), max_records=most)
        line.membership.hold(fetched)
    else:  # to aiokafka no names mean all partitions
        await line.membership.failed()
