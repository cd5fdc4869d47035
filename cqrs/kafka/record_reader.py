"""Read chosen records of some topics with aiokafka, beside all groups, from any place to any other."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition as KafkaPartition

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.closing import abandon_consumer, ends_within
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.membership import theirs
from cqrs.messaging.message import Message, TopicPartition

_groupless_client = partial(
    TolerantConsumer,
    group_id=None,
    auto_offset_reset="none",  # a position that is gone is an error here: what follows it may be another record
    enable_auto_commit=False,
    isolation_level="read_committed",
)
_STOP_SECONDS = 2.0
_POLL_MS = 200


class RecordReader:
    """Read stretches of some partitions; one at a time, in an `async with`.

    Args:
        partitions: What may be read. A topic that is not there may be made by asking: name only those that are.
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        fetch_max_wait_seconds: How long the broker may wait for a record to come; about 0.02 on the embedded broker.
        timeout_seconds: How long a question may take, and how long reading may stand still.
        max_partition_fetch_bytes: How much is asked for at once.
        security: What reaches a secured cluster; see `cqrs.kafka.security.security_options`.

    Raises:
        ConfigurationException: an address cannot be read.
    """

    def __init__(
        self,
        partitions: Collection[TopicPartition],
        *,
        bootstrap_servers: str,
        client_id: str = "cqrs",
        fetch_max_wait_seconds: float = 0.5,
        timeout_seconds: float = 30.0,
        max_partition_fetch_bytes: int = 4 * 1_048_576,
        security: Mapping[str, object] | None = None,
    ) -> None:
        self._partitions = [theirs(each) for each in partitions]
        self._timeout = timeout_seconds
        self._new_client = partial(
            _groupless_client,
            bootstrap_servers=checked_addresses(bootstrap_servers),
            client_id=client_id,
            fetch_max_wait_ms=int(fetch_max_wait_seconds * 1000),
            request_timeout_ms=int(timeout_seconds * 1000),
            max_partition_fetch_bytes=max_partition_fetch_bytes,
            **(security or {}),
        )
        self._client: TolerantConsumer | None = None

    async def __aenter__(self) -> Self:
        """Return itself; it connects when it is first asked."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await _end(client)

    async def spans(self) -> dict[TopicPartition, range]:
        """Return which offsets each partition holds: from its first record to behind its last one.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        if not self._partitions:
            return {}
        with kafka_failures(f"asking where {self._where} begin and end"):
            async with asyncio.timeout(self._timeout):
                client = await self._opened()
                begins = await client.beginning_offsets(self._partitions)
                ends = await client.end_offsets(self._partitions)
        return {
            TopicPartition(each.topic, each.partition): range(begins[each], max(begins[each], ends[each]))
            for each in self._partitions
        }

    async def read(self, partition: TopicPartition, start: int, stop: int) -> AsyncIterator[Sequence[Message]]:
        """Yield the records of `partition` from `start` to below `stop`, in batches, in order.

        Records that were deleted since are left out.

        Raises:
            DependencyUnavailableException: the broker is away, or reading has stood still for too long.
        """
        place, at = theirs(partition), start
        while at < stop:
            with kafka_failures(f"reading {partition.topic}[{partition.partition}]"):
                async with asyncio.timeout(self._timeout):
                    found, at = await self._take(place, at)
            if wanted := [message for message in found if message.offset < stop]:
                yield wanted

    async def record(self, partition: TopicPartition, offset: int) -> Message | None:
        """Return the record at `offset`, or None when it does not lie there any more.

        Raises:
            DependencyUnavailableException: the broker is away.
        """
        span = (await self.spans())[partition]
        if offset not in span:
            return None
        async for messages in self.read(partition, offset, offset + 1):
            return messages[0] if messages[0].offset == offset else None
        return None

    @property
    def _where(self) -> str:
        return ", ".join(sorted({each.topic for each in self._partitions}))

    async def _opened(self) -> TolerantConsumer:
        if self._client is None:
            client = self._new_client()
            client.assign([KafkaPartition(topic, 0) for topic in {each.topic for each in self._partitions}])
            try:
                await client.start()
            except BaseException:
                await _end(client)
                raise
            self._client = client
            self._point(client, None, 0)
        return self._client

    def _point(self, client: TolerantConsumer, place: KafkaPartition | None, offset: int) -> None:
        """Have only `place` fetched, from `offset` on; nothing is awaited before the others are paused."""
        client.assign(self._partitions)
        for each in self._partitions:
            client.seek(each, offset if each == place else 0)
        client.pause(*(each for each in self._partitions if each != place))

    async def _take(self, place: KafkaPartition, at: int) -> tuple[list[Message], int]:
        """Return what comes from `at` on, and where reading goes on; the caller's deadline bounds the wait."""
        client = await self._opened()
        if client.paused() >= {place} or await client.position(place) != at:
            self._point(client, place, at)
        while True:
            if client.is_broken:
                raise DependencyUnavailableException("kafka", f"reading {place}: the client cannot go on")
            try:
                fetched = await client.take(place, timeout_ms=_POLL_MS)
            except OffsetOutOfRangeError:
                begin: int = (await client.beginning_offsets([place]))[place]
                if begin <= at:
                    raise DependencyUnavailableException("kafka", f"{place} has nothing at offset {at}") from None
                return [], begin
            position: int = await client.position(place)
            if fetched or position > at:
                return [message for messages in fetched.values() for message in messages], position


async def _end(client: TolerantConsumer) -> None:
    try:
        await ends_within(client.stop(), _STOP_SECONDS)
    finally:
        await abandon_consumer(client)
