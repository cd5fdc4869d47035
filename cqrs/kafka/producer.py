"""Send messages with aiokafka, so that every one ends as acknowledged or as an error."""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    RecordListTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import RecordMetadata

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.batches import SingleRecordBatch
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.patience import PatientProducer
from cqrs.kafka.producing import ProducerLine
from cqrs.messaging.dead_letter_headers import ORIGINAL_TOPIC
from cqrs.messaging.message import OutgoingMessage, Receipt

_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    InvalidTopicError,
    InvalidTimestampError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
    # What aiokafka makes of the codes it does not know, INVALID_RECORD (87) among them: final, as for Java's producer.
    UnknownError,
)
_WORTH_COMPRESSING = 64 * 1024
_LARGEST_REQUEST = 64 * 1024 * 1024
"""A broker closes the connection on a request over its socket.request.max.bytes, 100 MiB unless told otherwise."""
_choose_partition = DefaultPartitioner()


class KafkaProducer:
    """Be the `Producer` port on aiokafka: acks=all, idempotent, each send awaited with a deadline.

    The client inside is made by the first `start` or `send`, one however many call at once. One on which a send timed
    out or failed is not used again, and closed when its other sends have ended: a message that was given up is not
    sent behind the caller's back.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        send_timeout_seconds: How long a message may take from `send` to its acknowledgement.
        request_timeout_seconds: How long one request may take; a lost one is repeated within the send's time.
        stop_timeout_seconds: How long `stop` waits for messages on their way.
        max_message_bytes: The largest message that is offered to the broker. It does not count for dead letters: these
            hold what a broker has stored before, so it is the broker that judges their size, of the compressed letter.
        compression: "gzip", "snappy", "lz4", "zstd" or None.

    Raises:
        ConfigurationException: an address cannot be read.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        client_id: str = "cqrs",
        send_timeout_seconds: float = 30.0,
        request_timeout_seconds: float = 10.0,
        stop_timeout_seconds: float = 10.0,
        max_message_bytes: int = 1_048_576,
        compression: str | None = None,
    ) -> None:
        self._bootstrap_servers = checked_addresses(bootstrap_servers)
        self._send_timeout = send_timeout_seconds
        self._stop_timeout = stop_timeout_seconds
        self._max_message_bytes = max_message_bytes
        new_client = partial(
            PatientProducer,
            bootstrap_servers=bootstrap_servers,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(request_timeout_seconds * 1000),
            max_request_size=max_message_bytes,
            compression_type=compression,
        )
        self._shared = ProducerLine(new_client)
        self._alone = ProducerLine(new_client)
        self._alone_turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect; harmless when it is connected.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        with kafka_failures(f"connecting to {self._bootstrap_servers}"):
            await self._shared.open(self._deadline())

    async def stop(self) -> None:
        """Wait for what is on its way, at most `stop_timeout_seconds`, and disconnect; harmless when called again."""
        await asyncio.gather(self._shared.close(self._stop_timeout), self._alone.close(self._stop_timeout))

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Send `message` and return once the broker has acknowledged it (acks=all).

        Raises:
            DependencyUnavailableException: no acknowledgement came in time; the message may or may not be stored.
            UnpublishableEventException: the broker refuses this message for what it is: too large, no such topic or
                partition, against a policy.
        """
        deadline = self._deadline()
        with kafka_failures(f"sending to {message.topic}"):
            if _needs_own_batch(message) or self._is_large_dead_letter(message):
                return await self._send_alone(message, deadline)
            try:
                return await self._send_batched(message, deadline)
            except (*_REFUSALS, OutOfOrderSequenceNumber):
                # The broker refuses whole batches, and then those behind them; alone, a message is judged for itself.
                return await self._send_alone(message, deadline)

    async def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of each topic there is; none is created by asking.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        with kafka_failures("asking for the topics"):
            async with self._shared.using(self._deadline()) as producer:
                metadata = await producer.client.fetch_all_metadata()
        names = sorted(metadata.topics(exclude_internal_topics=False))
        return {name: len(metadata.partitions_for_topic(name) or ()) for name in names}

    async def _send_batched(self, message: OutgoingMessage, deadline: float) -> Receipt:
        async with self._shared.using(deadline) as producer:
            await _require_place(producer, message)
            return _receipt(await (await _enqueue(producer, message)))

    async def _send_alone(self, message: OutgoingMessage, deadline: float) -> Receipt:
        """Send it in a batch of its own, with no other behind it: aiokafka counts a refused one as sent."""
        batch = await self._own_batch(message)
        try:
            async with asyncio.timeout_at(deadline), self._alone_turn, self._alone.using(deadline) as producer:
                await _require_place(producer, message)
                partition = _partition(producer, message)
                acknowledged = await producer.send_batch(batch, message.topic, partition=partition)
                return _receipt(await acknowledged)
        except _REFUSALS as error:
            raise _unpublishable(message, f"the broker refuses it: {error}") from error

    async def _own_batch(self, message: OutgoingMessage) -> SingleRecordBatch:
        letter = _is_dead_letter(message)
        try:
            # In a thread: what takes long to compress must not hold up the consumer's heartbeats.
            batch = await asyncio.to_thread(SingleRecordBatch, message, compress=letter)
        except UnicodeEncodeError as error:
            raise _unpublishable(message, f"a header's name cannot be written: {error}") from error
        limit, name = (
            (_LARGEST_REQUEST, "any broker takes") if letter else (self._max_message_bytes, "max_message_bytes")
        )
        if batch.size() > limit:
            raise _unpublishable(message, f"{batch.size()} bytes are more than {name}")
        return batch

    def _is_large_dead_letter(self, message: OutgoingMessage) -> bool:
        """Say whether it is a dead letter that aiokafka would refuse, or that is worth compressing."""
        if not _is_dead_letter(message):
            return False
        size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(message.key, message.value, list(message.headers))
        return size > min(_WORTH_COMPRESSING, self._max_message_bytes)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._send_timeout


async def _enqueue(producer: AIOKafkaProducer, message: OutgoingMessage) -> Awaitable[RecordMetadata]:
    try:
        acknowledged: Awaitable[RecordMetadata] = await producer.send(
            message.topic, message.value, message.key, message.partition, headers=list(message.headers)
        )
    except (MessageSizeTooLargeError, TypeError, ValueError) as error:
        raise _unpublishable(message, f"it cannot be written: {error}") from error
    return acknowledged


async def _require_place(producer: AIOKafkaProducer, message: OutgoingMessage) -> None:
    """Refuse what has nowhere to go: aiokafka would wait for it, and asking by name may create the topic."""
    if producer.client.cluster.partitions_for_topic(message.topic) is None:
        everything = await producer.client.fetch_all_metadata()
        if not everything.partitions_for_topic(message.topic):
            raise _unpublishable(message, "there is no such topic, or it may not be seen; create it, or allow it")
    partitions = await producer.partitions_for(message.topic)
    if message.partition is not None and message.partition not in partitions:
        raise _unpublishable(message, f"the topic has {len(partitions)} partitions, none numbered {message.partition}")


def _partition(producer: AIOKafkaProducer, message: OutgoingMessage) -> int:
    """Choose as aiokafka does for its own batches."""
    if message.partition is not None:
        return message.partition
    cluster = producer.client.cluster
    known = sorted(cluster.partitions_for_topic(message.topic) or ())
    available = sorted(cluster.available_partitions_for_topic(message.topic) or ())
    return int(_choose_partition(message.key, known, available))


def _needs_own_batch(message: OutgoingMessage) -> bool:
    """Say whether aiokafka's own batches cannot hold the message."""
    if message.key is None and message.value is None:
        return True
    return any(not name.isascii() and _has_surrogates(name) for name, _ in message.headers)


def _is_dead_letter(message: OutgoingMessage) -> bool:
    return any(name == ORIGINAL_TOPIC for name, _ in message.headers)


def _has_surrogates(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)


def _receipt(stored: RecordMetadata) -> Receipt:
    return Receipt(stored.topic, stored.partition, stored.offset)


def _unpublishable(message: OutgoingMessage, reason: str) -> UnpublishableEventException:
    return UnpublishableEventException(f"The message for {message.topic} cannot be published: {reason}.")
