"""Read records with aiokafka as one member of a consumer group, and let nothing stop it."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.cut_logs import CutLogs
from cqrs.kafka.failures import FAILURES, kafka_failures, reason_of, unavailable
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.line import Line
from cqrs.kafka.membership import ours
from cqrs.kafka.pace import Pace
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.message import Message, Position, TopicPartition
from cqrs.messaging.ports import LogEnd, RebalanceListener

_log = logging.getLogger(__name__)

# aiokafka leaves the group when nothing is polled for this long. A message may be held for as long as a database is
# away, so the only limit is the largest that the protocol can say: 24 days.
_NEVER_MS = 2**31 - 1
_careful_client = partial(
    TolerantConsumer,
    max_poll_interval_ms=_NEVER_MS,
    auto_offset_reset="none",  # where nothing is committed, begin() says earliest; a position that is gone is an error
    enable_auto_commit=False,
    isolation_level="read_committed",
    metadata_max_age_ms=10_000,  # and so the longest time that a new partition goes unnoticed
)
_REPLACEMENTS = Backoff(0.25, 5.0)
_FORGET_SECONDS = 30.0
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
        group_instance_id: This member's own name, which it keeps over restarts (static membership): the group is not
            told of its leaving, and gives its partitions to nobody else until the session is over.
        session_timeout_seconds: How long the group waits for a member that is not heard of; a second or more.
        rebalance_timeout_seconds: How long the group waits for its members to finish their work and join again.
        start_timeout_seconds: How long joining the group may take, beside the time that it gives its members.
        request_timeout_seconds: How long one request, and one commit, may take.
        stop_timeout_seconds: How long leaving the group may take.
        silence_seconds: How long fetches may go unanswered before `poll` calls the broker away.
        rejoin_seconds: How long they may go unanswered before the client is replaced, its addresses asked for anew.
        security: What reaches a secured cluster; see `cqrs.kafka.security.security_options`.

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
        group_instance_id: str | None = None,
        session_timeout_seconds: float = 45.0,
        rebalance_timeout_seconds: float = 60.0,
        start_timeout_seconds: float = 30.0,
        request_timeout_seconds: float = 10.0,
        stop_timeout_seconds: float = 10.0,
        silence_seconds: float = 5.0,
        rejoin_seconds: float = 60.0,
        security: Mapping[str, object] | None = None,
    ) -> None:
        self._topics, self._group_id, self._max_poll_records = tuple(topics), group_id, max_poll_records
        self._start_timeout, self._rebalance_timeout = start_timeout_seconds, rebalance_timeout_seconds
        self._request_timeout, self._stop_timeout = request_timeout_seconds, stop_timeout_seconds
        self._silence, self._rejoin = silence_seconds, rejoin_seconds
        self._new_client = partial(
            _careful_client,
            bootstrap_servers=checked_addresses(bootstrap_servers),
            client_id=client_id,
            max_poll_records=max_poll_records,
            fetch_max_wait_ms=_ms(fetch_max_wait_seconds),
            max_partition_fetch_bytes=max_partition_fetch_bytes,
            request_timeout_ms=_ms(request_timeout_seconds),
            **_membership(group_id, group_instance_id, session_timeout_seconds, rebalance_timeout_seconds),
            **(security or {}),
        )
        self._listener: RebalanceListener | None = None
        self._line: Line | None = None
        self._joining: asyncio.Task[None] | None = None
        self._joining_since, self._last_failure, self._left_behind = 0.0, "", ""
        self._cut_logs, self._pace = CutLogs(), Pace(_REPLACEMENTS, _FORGET_SECONDS)

    async def start(self, listener: RebalanceListener) -> None:
        """Join the group and return once the broker answers; harmless when it has joined.

        Raises:
            DependencyUnavailableException: the broker cannot be reached, or a topic does not exist yet.
        """
        self._listener = listener
        if self._line is None and self._joining is None:
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
        line = await self._joined(timeout_seconds)
        if line is None:
            return ()
        most = self._max_poll_records if max_records is None else max_records
        try:
            messages = await line.poll(timeout_seconds, partitions if most > 0 else (), most)
        except Exception as error:
            if isinstance(error, OffsetOutOfRangeError):
                self._cut_logs.refuse(line.refused_positions(error))
            raise await self._give_up(line, "reading", error) from error
        if not messages:
            await self._require_contact(line)
        return messages

    async def commit(self, positions: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
        """Commit, for each partition, the next record to read and what to note beside it.

        A partition that is not this member's any more is left out and returned, with a log line: its next owner reads
        on from what was committed before.

        Raises:
            DependencyUnavailableException: the commit did not succeed; repeating it is safe.
        """
        try:
            lost = set(positions) if self._line is None else await self._line.commit(positions)
        except Exception as error:
            raise self._unavailable("committing", error) from error
        if lost:
            places = ", ".join(sorted(f"{partition.topic}[{partition.partition}]" for partition in lost))
            _log.warning("Group %s took %s away from this member: not committed", self._group_id, places)
        return lost

    def log_ends(self) -> Mapping[TopicPartition, LogEnd]:
        """Return where the partitions end, as their last fetches told; asks nobody. From any thread."""
        line = self._line
        return {} if line is None else line.log_ends()

    async def stop(self) -> None:
        """Leave the group without committing anything; harmless when called again."""
        self._listener = None
        joining, self._joining = self._joining, None
        if joining is not None:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
        line, self._line = self._line, None
        if line is not None and not await line.close(self._stop_timeout):
            self._say_that_nobody_heard()

    @property
    def _where(self) -> str:
        return f"{', '.join(self._topics)} as {self._group_id}"

    async def _joined(self, timeout_seconds: float) -> Line | None:
        """Return the line; None while it is still being made, which may take longer than a poll."""
        if self._line is None:
            if self._listener is None:
                raise ConfigurationException(["The consumer is not running; call start(listener) before poll()."])
            joining = self._joining or await self._begin_joining(timeout_seconds, self._listener)
            await asyncio.wait({joining}, timeout=timeout_seconds)
            seconds = time.monotonic() - self._joining_since
            if joining.done():
                self._joining = None
                await joining
            elif seconds > self._silence:
                raise DependencyUnavailableException("kafka", f"joining {self._where} has taken {seconds:.1f} s so far")
        return self._line

    async def _begin_joining(self, timeout_seconds: float, listener: RebalanceListener) -> asyncio.Task[None]:
        pause = self._pace.remaining_seconds
        await asyncio.sleep(min(pause, timeout_seconds))
        if pause > timeout_seconds:
            raise DependencyUnavailableException("kafka", self._last_failure)
        self._joining_since = time.monotonic()
        self._joining = asyncio.create_task(self._join(listener))
        return self._joining

    async def _join(self, listener: RebalanceListener) -> None:
        client = self._new_client()
        begin = partial(client.begin, is_gone=self._is_gone)
        line = Line(client, listener, begin, self._request_timeout)
        try:
            await line.join(self._topics, self._start_timeout, self._rebalance_timeout, self._left_behind)
        except Exception as error:
            raise await self._give_up(line, "joining", error) from error
        except BaseException:
            await self._end(line)
            raise
        self._line, self._left_behind = line, ""

    async def _give_up(self, line: Line, deed: str, error: Exception) -> DependencyUnavailableException:
        """Let go of a client that failed, and return what to raise; the next poll makes another."""
        failure = self._unavailable(deed, error)
        self._last_failure = f"{deed} {self._where}: {reason_of(error)}"
        self._pace.failed()
        try:
            await self._end(line)
        finally:
            if self._line is line:
                self._line = None
        return failure

    def _unavailable(self, deed: str, error: Exception) -> DependencyUnavailableException:
        if not isinstance(error, FAILURES):
            _log.error("A client of Kafka failed at %s in a way that is not known", deed, exc_info=error)
        return unavailable(f"{deed} {self._where}", error)

    async def _end(self, line: Line) -> None:
        left = await line.end(_LEAVE_SECONDS)
        self._left_behind = line.left_behind or self._left_behind
        if not left:
            self._say_that_nobody_heard()

    def _is_gone(self, place: KafkaPartition, offset: int) -> bool:
        return self._cut_logs.is_gone(ours(place), offset)

    def _say_that_nobody_heard(self) -> None:
        _log.warning("Group %s was left without a word: its coordinator does not answer", self._group_id)

    async def _require_contact(self, line: Line) -> None:
        """Raise when nothing came because nobody answers: aiokafka itself only logs that."""
        silence, quiet = line.silence_seconds, line.quiet_seconds
        reason = f"no fetch was answered for {max(silence, quiet):.1f} s{line.trouble and f' ({line.trouble})'}"
        if max(silence, quiet) > self._rejoin:
            raise await self._give_up(line, "reading", KafkaConnectionError(reason))
        if silence > self._silence:
            raise DependencyUnavailableException("kafka", f"reading {self._where}: {reason}")
        if quiet > self._silence:
            with kafka_failures(f"reading {self._where}"):
                await line.ask(min(self._request_timeout, self._silence))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _membership(
    group_id: str, instance_id: str | None, session_seconds: float, rebalance_seconds: float
) -> dict[str, object]:
    """Return which group, as whom, how long it waits for a member, and how often it hears of it."""
    return {
        "group_id": group_id,
        "group_instance_id": instance_id,
        "session_timeout_ms": _session_ms(session_seconds),
        "heartbeat_interval_ms": _ms(session_seconds / 3),
        "rebalance_timeout_ms": _ms(rebalance_seconds),
    }


def _session_ms(seconds: float) -> int:
    if seconds < _SHORTEST_SESSION_SECONDS:
        raise ConfigurationException(
            [
                f"KAFKA_SESSION_TIMEOUT_MS: {seconds * 1000:g} ms are too short for heartbeats; "
                f"write {_ms(_SHORTEST_SESSION_SECONDS)} or more (brokers ask for 6000 unless they are told otherwise)"
            ]
        )
    return _ms(seconds)
