"""Send messages with aiokafka, so that every one ends as acknowledged or as an error."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from functools import partial

from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from cqrs.kafka.addresses import checked_addresses
from cqrs.kafka.failures import kafka_failures
from cqrs.kafka.judging import Judge
from cqrs.kafka.patience import PatientProducer
from cqrs.kafka.producing import Producers
from cqrs.kafka.queued import Outcome, QueuedMessage, Watch
from cqrs.kafka.topic_queue import TopicQueue
from cqrs.messaging.message import OutgoingMessage, Receipt

_log = logging.getLogger(__name__)


class KafkaProducer:
    """Be the `Producer` port on aiokafka: acks=all, idempotent, each send awaited with a deadline.

    The client inside is made by the first `start` or `send`, one however many call at once. One on which a batch failed
    or was not acknowledged in time is not used again, and closed when its other batches have ended. A message that was
    given up is not sent behind the caller's back: what is in a request already may be stored, no request follows.

    Messages for one partition leave in batches, one batch at a time, each as large as it grew while the last one was on
    its way; a message that finds nothing on its way leaves at once.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        client_id: The name the brokers see.
        send_timeout_seconds: How long a message may take from `send` to its acknowledgement.
        request_timeout_seconds: How long one request may take; a lost one is repeated within the send's time.
        stop_timeout_seconds: How long `stop` waits for messages on their way.
        max_message_bytes: The largest message that is offered to the broker. It does not count for dead letters: these
            hold what a broker has stored before, so it is the broker that judges their size, of the compressed letter.
        compression: "gzip", "snappy", "lz4", "zstd" or None.
        security: What reaches a secured cluster; see `cqrs.kafka.security.security_options`.

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
        security: Mapping[str, object] | None = None,
    ) -> None:
        self._bootstrap_servers = checked_addresses(bootstrap_servers)
        self._send_timeout = send_timeout_seconds
        self._stop_timeout = stop_timeout_seconds
        self._producers = Producers(
            partial(
                PatientProducer,
                bootstrap_servers=bootstrap_servers,
                client_id=client_id,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=int(request_timeout_seconds * 1000),
                compression_type=compression,
                **(security or {}),
            )
        )
        self._judge = Judge(max_message_bytes)
        self._watch = Watch()
        self._queues: dict[str, TopicQueue] = {}

    async def start(self) -> None:
        """Connect; harmless when it is connected.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        with kafka_failures(f"connecting to {self._bootstrap_servers}"):
            await self._producers.usual.open(self._deadline())

    async def stop(self) -> None:
        """Wait for what is on its way, at most `stop_timeout_seconds`, and disconnect; harmless when called again.

        A message that is not acknowledged by then is given up, and its `send` ends.
        """
        try:
            if not await self._watch.until_idle(self._stop_timeout):
                _log.warning("Kafka did not acknowledge all messages within %g s of the stop", self._stop_timeout)
                await self._watch.give_up(KafkaTimeoutError("the producer was stopped before an acknowledgement came"))
        finally:
            self._watch.stop()
            await self._producers.close()

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Send `message` and return once the broker has acknowledged it (acks=all).

        Messages for one partition are stored in the order of the calls, also of calls that overlap, and whatever
        becomes of the others. A caller who is cancelled leaves the other messages as they are; the own one is not sent
        unless it is on its way.

        Raises:
            DependencyUnavailableException: no acknowledgement came in time; the message may or may not be stored.
            UnpublishableEventException: the broker refuses this message for what it is: too large, no such topic or
                partition, against a policy.
        """
        outcome = await self._accepted(message)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def check(self, topics: Collection[str]) -> None:
        """Have a broker answer a small question; messages on their way do not notice, whatever the answer.

        Args:
            topics: Some that the service uses; what is asked is about them.

        Raises:
            DependencyUnavailableException: none answers.
        """
        with kafka_failures(f"asking {self._bootstrap_servers}"):
            producer = self._producers.usual.producer
            if producer is None:
                await self._producers.usual.open(self._deadline())
            elif not await producer.client._metadata_update(ClusterMetadata(), set(topics)):  # noqa: SLF001 - asks one broker
                raise KafkaConnectionError("no broker answers")

    async def topics(self) -> Mapping[str, int]:
        """Return the number of partitions of each topic there is; none is created by asking.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        deadline = self._deadline()
        with kafka_failures("asking for the topics"):
            async with self._producers.usual.using(deadline) as producer, asyncio.timeout_at(deadline):
                metadata = await producer.client.fetch_all_metadata()
        names = sorted(metadata.topics(exclude_internal_topics=False))
        return {name: len(metadata.partitions_for_topic(name) or ()) for name in names}

    def _accepted(self, message: OutgoingMessage) -> asyncio.Future[Outcome]:
        """Queue `message` before anything is awaited: the order of the calls is that of the messages."""
        loop = asyncio.get_running_loop()
        deadline, timestamp_ms = loop.time() + self._send_timeout, int(time.time() * 1000)
        queued = QueuedMessage(message, list(message.headers), loop.create_future(), deadline, timestamp_ms)
        self._judge.judge(queued)
        queue = self._queues.get(message.topic)
        if queue is None:
            queue = TopicQueue(message.topic, self._watch, self._producers, self._forget)
            self._queues[message.topic] = queue
        queue.put(queued)
        return queued.outcome

    def _forget(self, topic: str) -> None:
        self._queues.pop(topic, None)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._send_timeout
