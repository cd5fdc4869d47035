"""Be a foreign program on the other side of the topics: it shares no code with the service, only the wire.

Commands go out and events come in through confluent-kafka's own producer, consumer and Avro serializers, schemas over
Confluent's REST API. Every call blocks, within a deadline; from a coroutine, call it in a thread (`asyncio.to_thread`).
"""

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging import envelope
from cqrs.messaging.envelope import TRACE_HEADERS
from cqrs.messaging.message import Headers, Message, Receipt
from cqrs.testing.outside_avro import OutsideAvro, RegistryUse
from cqrs.testing.outside_failures import LibraryLog, Trouble, UnsendableException, broker_failures
from cqrs.testing.outside_groups import committed_offsets
from cqrs.testing.outside_outcomes import Outcome, Received
from cqrs.testing.outside_reader import OutsideReader
from cqrs.testing.outside_security import OutsideOptions
from cqrs.tracing import attributes
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import AttributeValue, NoTracer, SpanKind, Tracer

__all__ = ["Outcome", "OutsideClient", "OutsideReader", "Received", "Sent", "UnsendableException"]

_LARGEST_MESSAGE = 64 * 1024 * 1024
_POLL_SECONDS = 0.05
_NOWHERE = Receipt("", -1, -1)


@dataclass(frozen=True, slots=True)
class Sent:
    """Say what was sent and where the broker stored it.

    Attributes:
        id: The message id: what `ce_id` says, or what a reader derives from the place when there is no such header.
        correlation_id: The correlation id that its outcome carries.
        receipt: Where it lies.
        key: Its key, or None.
        trace_id: The trace that it began or joined, or None when nothing is traced.
    """

    id: str
    correlation_id: str
    receipt: Receipt
    key: str | None
    trace_id: str | None


class OutsideClient:
    """Send commands and read what became of them, as a program would that knows the topics and nothing else.

    Safe to use from several threads. A record goes out once: one whose acknowledgement is lost is not sent again, since
    the service would be blamed for the second; the send fails, and nobody knows whether the record is stored.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        registry_url: The schema registry's REST API; None when no Avro is sent or read.
        tracer: Opens a span around each send and each event read.
        timeout_seconds: The deadline of every single call.
        source: What `ce_source` says.
        options: Further options of librdkafka; see `cqrs.testing.outside_security.outside_options`.
        registry_use: Who asks the registry, and how; see `cqrs.testing.outside_avro.registry_use`.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        registry_url: str | None,
        *,
        tracer: Tracer | None = None,
        timeout_seconds: float = 10.0,
        source: str = "outside-client",
        options: OutsideOptions | None = None,
        registry_use: RegistryUse | None = None,
    ) -> None:
        self._options = dict(options or {})
        self._bootstrap_servers = bootstrap_servers
        self._tracer = tracer or NoTracer()
        self._timeout = timeout_seconds
        self._source = source
        self._avro = OutsideAvro(registry_url, timeout_seconds, registry_use)
        self._producer: Producer | None = None
        self._trouble = Trouble()
        self._opening = threading.Lock()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let the connections go; harmless when called again."""
        with self._opening:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(self._timeout)
        self._avro.close()

    def send_json(
        self,
        topic: str,
        data: Mapping[str, object],
        *,
        type_name: str | None = None,
        key: str | None = None,
        headers: Headers = (),
        message_id: str | None = None,
        correlation_id: str | None = None,
        type_in_value: bool = False,
    ) -> Sent:
        """Send `data` as JSON.

        Args:
            topic: Where to.
            data: The command's fields; a Decimal or datetime is written as text.
            type_name: What `ce_type` says.
            key: The record's key.
            headers: Further headers.
            message_id: What `ce_id` says; None makes one.
            correlation_id: What `ce_correlationid` says; None takes the current one, else the message id.
            type_in_value: Send no header but the trace's, and the value `{"type": ..., "data": {...}}`.

        Raises:
            DependencyUnavailableException: the broker did not acknowledge it in time; it may be stored all the same.
            UnsendableException: the broker refuses it.
        """
        value = json.dumps({"type": type_name, "data": data} if type_in_value else data, default=str).encode()
        if type_in_value:
            return self.send_raw(topic, value, key=key, headers=headers)
        ours = self._envelope(type_name, "application/json", message_id, correlation_id)
        return self.send_raw(topic, value, key=key, headers=(*ours, *headers))

    def send_avro(
        self,
        topic: str,
        data: Mapping[str, object],
        schema: str,
        *,
        key: str | None = None,
        headers: Headers = (),
        message_id: str | None = None,
        correlation_id: str | None = None,
        bare: bool = False,
    ) -> Sent:
        """Send `data` as Avro in Confluent's framing, with its schema registered under the topic and record's name.

        Args:
            topic: Where to.
            data: The command's fields; decimals, times and UUIDs may be given as text.
            schema: The text of its `.avsc`.
            key: The record's key.
            headers: Further headers.
            message_id: What `ce_id` says; None makes one.
            correlation_id: What `ce_correlationid` says; None takes the current one, else the message id.
            bare: Send no header but the trace's: the schema id alone says what the value is.

        Raises:
            DependencyUnavailableException: broker or registry did not answer in time; without an answer of the broker
                it may be stored all the same.
            UnsendableException: the data does not fit the schema, or broker or registry refuse it.
        """
        value = self.encode_avro(topic, data, schema)
        if bare:
            return self.send_raw(topic, value, key=key, headers=headers)
        ours = self._envelope(self._avro.name(schema), "application/avro", message_id, correlation_id)
        return self.send_raw(topic, value, key=key, headers=(*ours, *headers))

    def encode_avro(self, topic: str, data: Mapping[str, object], schema: str) -> bytes:
        """Return what `send_avro` sends as value, with its schema registered.

        Raises:
            DependencyUnavailableException: the registry did not answer in time.
            UnsendableException: the data does not fit the schema, or the registry refuses it.
        """
        return self._avro.encode(topic, data, schema)

    def send_raw(
        self, topic: str, value: bytes | None, *, key: str | bytes | None = None, headers: Headers = ()
    ) -> Sent:
        """Send these bytes with these headers, and the W3C headers of the `send` span in place of any of their names.

        Raises:
            DependencyUnavailableException: the broker did not acknowledge it in time; it may be stored all the same.
            UnsendableException: the broker refuses it.
        """
        with (
            CorrelationContext.scope(correlation_id=_correlation_id(headers)),
            self._tracer.span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=_attributes(topic, value)) as span,
        ):
            kept = tuple(header for header in headers if header[0].lower() not in TRACE_HEADERS)
            receipt = self._produce(topic, value, key, kept + self._tracer.inject())
            stored = envelope.read_envelope(_probe(headers, receipt))
            for name, found in _receipt_attributes(receipt, stored.id, stored.correlation_id).items():
                span.set(name, found)
            text = key.decode(errors="replace") if isinstance(key, bytes) else key
            return Sent(stored.id, stored.correlation_id, receipt, text, span.trace_id)

    def topics(self) -> Mapping[str, int]:
        """Return the names of the broker's topics with their partition counts.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
        """
        producer = self._connected()
        with broker_failures(f"asking {self._bootstrap_servers} for its topics", lambda: self._trouble.words(producer)):
            found = producer.list_topics(timeout=self._timeout)
        return {name: len(topic.partitions) for name, topic in sorted(found.topics.items())}

    def committed(self, group_id: str, topic: str) -> dict[int, int]:
        """Return the next offset of each partition of `topic` in which the group has committed.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
            ConfigurationException: there is no such topic.
        """
        return committed_offsets(
            self._bootstrap_servers, group_id, topic, timeout_seconds=self._timeout, options=self._options
        )

    def reader(self, topics: Sequence[str], *, at_end: bool = False) -> OutsideReader:
        """Open a reader of all partitions of `topics`, from their beginning or from what is sent from now on.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
            ConfigurationException: there is no such topic.
        """
        return OutsideReader(
            self._bootstrap_servers,
            topics,
            self._avro,
            self._tracer,
            timeout_seconds=self._timeout,
            at_end=at_end,
            options=self._options,
        )

    def read(self, topics: Sequence[str]) -> list[Received]:
        """Return everything that `topics` hold now, partition by partition.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
            ConfigurationException: there is no such topic.
        """
        with self.reader(topics) as reader:
            return reader.to_end()

    def outcomes(
        self, sent: Sequence[Sent], topics: Sequence[str], timeout_seconds: float, *, dead_letter_suffix: str = "-dlt"
    ) -> list[Outcome]:
        """Wait until every sent command has its outcome on `topics`, or until the time runs out.

        Args:
            sent: The commands.
            topics: Where their events and dead letters come.
            timeout_seconds: The longest wait.
            dead_letter_suffix: What tells a dead letter topic's name.

        Returns:
            One outcome for each command, in the order of `sent`; what has none yet says so.

        Raises:
            DependencyUnavailableException: the broker did not answer in time.
            ConfigurationException: there is no such topic.
        """
        with self.reader(topics) as reader:
            return reader.outcomes(
                [one.id for one in sent], timeout_seconds=timeout_seconds, dead_letter_suffix=dead_letter_suffix
            )

    def schema_of(self, message: Message) -> str | None:
        """Return the text of the schema that an Avro value was written with, or None when none is known.

        Raises:
            DependencyUnavailableException: the registry does not answer.
        """
        return self._avro.schema_of(message)

    def _produce(self, topic: str, value: bytes | None, key: str | bytes | None, headers: Headers) -> Receipt:
        answers: list[tuple[KafkaError | None, KafkaMessage]] = []
        deadline = time.monotonic() + self._timeout
        producer = self._connected()
        unknown = "; it may be stored or not: read the topic before sending it again"
        with broker_failures(f"sending to {topic}", lambda: self._trouble.words(producer) + unknown):
            producer.produce(
                topic,
                value=value,
                key=key,
                headers=list(headers),
                on_delivery=lambda error, message: answers.append((error, message)),
            )
            while not answers and time.monotonic() < deadline:
                producer.poll(_POLL_SECONDS)
            if not answers:
                detail = f"{self._bootstrap_servers} did not acknowledge a message to {topic} in {self._timeout:g} s"
                raise DependencyUnavailableException("kafka", detail + self._trouble.words(producer) + unknown)
            error, message = answers[0]
            if error is not None:
                raise KafkaException(error)
        return Receipt(topic, message.partition() or 0, message.offset() or 0)

    def _connected(self) -> Producer:
        with self._opening:
            if self._producer is None:
                self._producer = Producer(
                    {
                        "bootstrap.servers": self._bootstrap_servers,
                        "client.id": self._source,
                        "acks": "all",
                        "max.in.flight": 1,  # keeps the order of keys
                        # A wrong leader is still followed. An idempotent producer is no way out: it takes 0.5 s to
                        # begin, and the embedded broker stores its repetitions too.
                        "retries": 0,
                        "message.max.bytes": _LARGEST_MESSAGE,
                        "message.timeout.ms": int(self._timeout * 1000),
                        "partitioner": "murmur2_random",  # as Java's and aiokafka's producers place keys
                        "error_cb": self._trouble.hear,
                        **self._options,
                    },
                    logger=LibraryLog(),
                )
            return self._producer

    def _envelope(
        self, type_name: str | None, content_type: str, message_id: str | None, correlation_id: str | None
    ) -> Headers:
        own_id = message_id or str(uuid.uuid4())
        return envelope.write_headers(
            {
                envelope.SPEC_VERSION: "1.0",
                envelope.ID: own_id,
                envelope.SOURCE: self._source,
                envelope.TYPE: type_name,
                envelope.TIME: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                envelope.CORRELATION_ID: correlation_id or CorrelationContext.get_correlation_id() or own_id,
                envelope.CONTENT_TYPE: content_type,
            }
        )


def _probe(headers: Headers, receipt: Receipt) -> Message:
    return Message(receipt.topic, receipt.partition, receipt.offset, None, None, headers)


def _correlation_id(headers: Headers) -> str | None:
    """Return the correlation id that `headers` carry, or None when only the message's place will make one."""
    probe = _probe(headers, _NOWHERE)
    found = envelope.read_envelope(probe).correlation_id
    return None if found == envelope.derived_id(probe) else found


def _attributes(topic: str, value: bytes | None) -> dict[str, AttributeValue]:
    return {
        attributes.MESSAGING_SYSTEM: attributes.KAFKA,
        attributes.MESSAGING_OPERATION_TYPE: attributes.OPERATION_SEND,
        attributes.MESSAGING_OPERATION_NAME: attributes.OPERATION_SEND,
        attributes.MESSAGING_DESTINATION_NAME: topic,
        attributes.MESSAGING_MESSAGE_BODY_SIZE: len(value or b""),
    }


def _receipt_attributes(receipt: Receipt, message_id: str, correlation_id: str) -> dict[str, AttributeValue]:
    return {
        attributes.MESSAGING_DESTINATION_PARTITION_ID: str(receipt.partition),
        attributes.MESSAGING_KAFKA_OFFSET: receipt.offset,
        attributes.MESSAGING_MESSAGE_ID: message_id,
        attributes.MESSAGING_MESSAGE_CONVERSATION_ID: correlation_id,
        attributes.CORRELATION_ID: correlation_id,
    }
