"""Read every record of some topics with aiokafka, beside all groups: no membership, no commits."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.closing import abandon_consumer, ends_within
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.messaging.invalidation import Reading
from cqrs.messaging.message import Message

_log = logging.getLogger(__name__)

# `none`: a position that the broker has deleted is an error here, because records were missed.
_groupless_client = partial(
    TolerantConsumer,
    group_id=None,
    auto_offset_reset="none",
    enable_auto_commit=False,
    isolation_level="read_committed",
    metadata_max_age_ms=10_000,  # and so the longest time that a new partition goes unnoticed
)
_MARGIN_SECONDS = 0.05
_STOP_SECONDS = 2.0


class KafkaTopicReader:
    """Be the `TopicReader` port on aiokafka: every partition, from its end on, new partitions from their beginning.

    It remembers how far it has read, and a client that fails is replaced by one that goes on from there.

    Args:
        topics: What to read.
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        fetch_max_wait_seconds: How long the broker may wait for a record to come; about 0.02 on the embedded broker.
        start_timeout_seconds: How long connecting may take.
        request_timeout_seconds: How long one request may take.
        silence_seconds: How long fetches may go unanswered before `poll` calls the broker away.
        reconnect_seconds: How long they may go unanswered before the client is replaced, its addresses asked for anew.
        security: What reaches a secured cluster; see `cqrs.kafka.security.security_options`.

    Raises:
        ConfigurationException: an address cannot be read.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        bootstrap_servers: str,
        client_id: str = "cqrs",
        fetch_max_wait_seconds: float = 0.5,
        start_timeout_seconds: float = 30.0,
        request_timeout_seconds: float = 10.0,
        silence_seconds: float = 5.0,
        reconnect_seconds: float = 60.0,
        security: Mapping[str, object] | None = None,
    ) -> None:
        self._topics = tuple(topics)
        self._start_timeout, self._request_timeout = start_timeout_seconds, request_timeout_seconds
        self._silence, self._reconnect = silence_seconds, reconnect_seconds
        self._new_client = partial(
            _groupless_client,
            bootstrap_servers=checked_addresses(bootstrap_servers),
            client_id=client_id,
            fetch_max_wait_ms=int(fetch_max_wait_seconds * 1000),
            request_timeout_ms=int(request_timeout_seconds * 1000),
            **(security or {}),
        )
        self._client: TolerantConsumer | None = None
        self._positions: dict[KafkaPartition, int] = {}
        self._missed = False

    async def start(self) -> None:
        """Take every partition at its end; harmless when it reads already.

        Raises:
            DependencyUnavailableException: the broker cannot be reached, or a topic does not exist.
        """
        if self._client is None:
            await self._open()

    async def poll(self, timeout_seconds: float) -> Reading:
        """Return the next records, in order within each partition; no records when none came in time.

        Raises:
            DependencyUnavailableException: the broker is away; polling again, after a while, is right.
        """
        client = self._client or await self._open()
        if self._missed:
            self._missed = False
            return Reading(missed=True)
        try:
            messages = await self._take(client, timeout_seconds)
        except OffsetOutOfRangeError:
            await self._start_over()
            return Reading()
        except Exception as error:
            await self._close()
            raise DependencyUnavailableException("kafka", f"reading {self._where}: {error!r}") from error
        if not messages:
            await self._require_contact(client)
        return Reading(messages)

    async def stop(self) -> None:
        """Close the client; harmless when called again."""
        await self._close()

    @property
    def _where(self) -> str:
        return ", ".join(self._topics)

    async def _open(self) -> TolerantConsumer:
        client = self._new_client()
        # Names the topics, so that start() waits until their partitions are known.
        client.assign([KafkaPartition(topic, 0) for topic in self._topics])
        try:
            with kafka_failures(f"reading {self._where}"):
                async with asyncio.timeout(self._start_timeout):
                    await client.start()
                    await self._take_places(client)
        except BaseException:
            await self._end(client)
            raise
        self._client = client
        return client

    async def _take_places(self, client: TolerantConsumer) -> None:
        """Go on from the remembered positions; the first time, from the end of each partition."""
        found = self._partitions(client)
        if self._positions:
            self._positions |= dict.fromkeys(found - self._positions.keys(), 0)
            _assign(client, self._positions)
            return
        # Without a position the client would look for a committed one. Nothing is awaited before they are paused.
        _assign(client, dict.fromkeys(found, 0))
        client.pause(*found)
        self._positions = dict(await client.end_offsets(list(found)))
        self._missed = True
        _assign(client, self._positions)

    async def _take(self, client: TolerantConsumer, timeout_seconds: float) -> Sequence[Message]:
        found = self._partitions(client)
        if new := found - self._positions.keys():
            _log.info("%s has new partitions: %s", self._where, ", ".join(sorted(map(_name, new))))
            self._positions |= dict.fromkeys(new, 0)
            _assign(client, self._positions)
        async with asyncio.timeout(timeout_seconds + self._request_timeout + _MARGIN_SECONDS):
            fetched = await client.take(timeout_ms=int(timeout_seconds * 1000))
        for partition, records in fetched.items():
            if records:
                self._positions[partition] = records[-1].offset + 1
        return [message for messages in fetched.values() for message in messages]

    async def _start_over(self) -> None:
        _log.warning("Records of %s were deleted before they were read; reading goes on at the end", self._where)
        self._positions = {}
        await self._close()

    async def _require_contact(self, client: TolerantConsumer) -> None:
        silence = client.silence_seconds
        if client.is_broken or silence > self._reconnect:
            await self._close()
        elif silence <= self._silence:
            return
        raise DependencyUnavailableException(
            "kafka", f"reading {self._where}: no fetch was answered for {silence:.1f} s"
        )

    def _partitions(self, client: TolerantConsumer) -> set[KafkaPartition]:
        numbers = ((topic, client.partitions_for_topic(topic) or ()) for topic in self._topics)
        return {KafkaPartition(topic, number) for topic, found in numbers for number in found}

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._end(client)

    async def _end(self, client: TolerantConsumer) -> None:
        try:
            await ends_within(client.stop(), _STOP_SECONDS)
        finally:
            await abandon_consumer(client)


def _assign(client: TolerantConsumer, positions: dict[KafkaPartition, int]) -> None:
    """Replace the assignment; it forgets every position, so each is set again before anything is fetched."""
    client.assign(list(positions))
    for partition, offset in positions.items():
        client.seek(partition, offset)


def _name(partition: KafkaPartition) -> str:
    return f"{partition.topic}[{partition.partition}]"
