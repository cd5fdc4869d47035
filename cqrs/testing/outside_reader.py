"""Read topics as a foreign program does: confluent-kafka's consumer on every partition, without joining a group."""

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin._metadata import TopicMetadata

from cqrs.exceptions import DependencyUnavailableException, UndecodableMessageException
from cqrs.messaging.dead_letter_headers import ORIGINAL_TOPIC
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message
from cqrs.testing.outside_avro import OutsideAvro
from cqrs.testing.outside_failures import LibraryLog, Trouble, broker_failures, missing_topics
from cqrs.testing.outside_outcomes import (
    DEAD_LETTER_SUFFIX,
    Outcome,
    OutcomeIndex,
    Received,
)
from cqrs.testing.outside_security import OutsideOptions
from cqrs.tracing import attributes
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import AttributeValue, SpanKind, Tracer

Place = tuple[str, int]
"""A topic and the number of one of its partitions."""

_log = logging.getLogger(__name__)
_FETCH_WAIT_MS = 20  # the embedded broker's long poll is not woken by a produce
_POLL_SECONDS = 0.1
_AT_ONCE = 500
_UNREADY_SECONDS = 0.05


class OutsideReader:
    """Read every partition of some topics; not safe to use from two threads at once.

    Args:
        bootstrap_servers: `host:port`, comma-separated.
        topics: What is read.
        avro: Reads Avro values.
        tracer: Opens a `process` span around each event, as a child of the span that sent it.
        timeout_seconds: The deadline of every single call.
        at_end: Read what is sent from now on; otherwise from the beginning.
        options: Further options of librdkafka.

    Raises:
        DependencyUnavailableException: the broker did not answer in time.
        ConfigurationException: there is no such topic.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Sequence[str],
        avro: OutsideAvro,
        tracer: Tracer,
        *,
        timeout_seconds: float,
        at_end: bool,
        options: OutsideOptions | None = None,
    ) -> None:
        self._avro = avro
        self._tracer = tracer
        self._timeout = timeout_seconds
        self._received: list[Received] = []
        self._indexes: dict[str, OutcomeIndex] = {}
        self._next: dict[Place, int] = {}
        self._trouble = Trouble()
        self._consumer = _consumer(bootstrap_servers, {"error_cb": self._trouble.hear, **(options or {})})
        try:
            with broker_failures(f"reading {', '.join(topics)}", lambda: self._trouble.words(self._consumer)):
                self._assign(topics, at_end=at_end)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let the connection go; harmless when called again."""
        self._consumer.close()

    def to_end(self) -> list[Received]:
        """Return everything from where this reader began to the present end of each partition.

        Raises:
            DependencyUnavailableException: the end was not reached in time.
        """
        for _ in self._to_end():
            pass
        return list(self._received)

    def outcomes(
        self, message_ids: Sequence[str], *, timeout_seconds: float, dead_letter_suffix: str = DEAD_LETTER_SUFFIX
    ) -> list[Outcome]:
        """Wait until each of these commands has an outcome, or until the time runs out.

        A command's first event settles it; further events are told when they are there by then. When the time runs out,
        what lies on the topics then is read before it is said of any command that it has no outcome.

        Returns:
            One outcome for each id, in their order.

        Raises:
            DependencyUnavailableException: a topic cannot be read any more, or not to its end.
        """
        deadline = time.monotonic() + timeout_seconds
        index = self._indexes.setdefault(dead_letter_suffix, OutcomeIndex(dead_letter_suffix))
        index.take(self._received)
        unknown = {each for each in message_ids if not index.of(each).is_known}
        while unknown and (left := deadline - time.monotonic()) > 0:
            self.poll(min(left, _POLL_SECONDS))
            unknown -= index.take(self._received)
        if unknown:
            for _ in self._to_end():
                unknown -= index.take(self._received)
                if not unknown:
                    break
        return [index.of(each) for each in message_ids]

    def poll(self, timeout_seconds: float = _POLL_SECONDS) -> list[Received]:
        """Return what came next, waiting for the first record at most `timeout_seconds`.

        Raises:
            DependencyUnavailableException: a topic cannot be read any more.
        """
        with broker_failures("reading"):
            first = self._consumer.poll(timeout_seconds)
            records = [first, *self._consumer.consume(_AT_ONCE, 0)] if first is not None else []
        received = [self._receive(message) for record in records if (message := self._message(record)) is not None]
        self._received.extend(received)
        return received

    def _to_end(self) -> Iterator[None]:
        """Read to the present end of each partition, and yield after each step."""
        deadline = time.monotonic() + self._timeout
        ends = self._ends()
        while left := [place for place, end in ends.items() if self._next.get(place, 0) < end]:
            if time.monotonic() > deadline:
                names = ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(left))
                detail = f"the end of {names} was not reached within {self._timeout:g} s"
                raise DependencyUnavailableException("kafka", detail)
            self.poll()
            yield

    def _ends(self) -> Mapping[Place, int]:
        """Return where each partition that holds anything ends at present."""
        ends: dict[Place, int] = {}
        with broker_failures("asking where the topics end", lambda: self._trouble.words(self._consumer)):
            for each in self._consumer.assignment():
                first, end = self._consumer.get_watermark_offsets(each, self._timeout)
                if first < end:
                    ends[each.topic, each.partition] = end
        return ends

    def _assign(self, topics: Sequence[str], *, at_end: bool) -> None:
        known = self._known(topics)
        if missing := [topic for topic in topics if topic not in known]:
            raise missing_topics(missing, known)
        partitions = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
        for each in partitions:
            each.offset = OFFSET_BEGINNING
            if at_end:
                _, each.offset = self._consumer.get_watermark_offsets(each, self._timeout)
                self._next[each.topic, each.partition] = each.offset
        self._consumer.assign(partitions)

    def _known(self, topics: Sequence[str]) -> Mapping[str, TopicMetadata]:
        """Return the broker's topics; one that was just created has no partitions for a moment, which is waited for."""
        deadline = time.monotonic() + self._timeout
        while True:
            known: Mapping[str, TopicMetadata] = self._consumer.list_topics(timeout=self._timeout).topics
            unready = [topic for topic in topics if topic in known and not known[topic].partitions]
            if not unready:
                return known
            if time.monotonic() > deadline:
                detail = f"{', '.join(unready)} had no partitions yet after {self._timeout:g} s"
                raise DependencyUnavailableException("kafka", detail)
            time.sleep(_UNREADY_SECONDS)

    def _message(self, record: KafkaMessage) -> Message | None:
        error = record.error()
        topic, partition, offset = record.topic() or "?", record.partition() or 0, record.offset() or 0
        if error is None:
            self._next[topic, partition] = offset + 1
            return _converted(record)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's code for "nothing more for now"
            self._next[topic, partition] = offset  # behind what a transaction left there, which is no record
            return None
        if error.retriable():
            _log.debug("reading %s[%d]: %s", topic, partition, error.str())
            return None
        raise DependencyUnavailableException("kafka", f"reading {topic}[{partition}] failed: {error.str()}")

    def _receive(self, message: Message) -> Received:
        if any(name == ORIGINAL_TOPIC for name, _ in message.headers):
            return Received(message)  # a dead letter may hold anything; nobody decodes it unasked
        envelope = read_envelope(message)
        with (
            CorrelationContext.scope(correlation_id=envelope.correlation_id),
            self._tracer.span(
                f"process {message.topic}",
                kind=SpanKind.CONSUMER,
                attributes=_process_attributes(message, envelope.id),
                parent=message.headers,
            ) as span,
        ):
            try:
                return Received(message, self._value(message, envelope.content_type))
            except UndecodableMessageException as error:
                span.fail(error)
                return Received(message, problem=str(error))

    def _value(self, message: Message, content_type: str | None) -> object:
        if message.value is None:
            return None
        if content_type == "application/avro" or (content_type is None and message.value[:1] == b"\x00"):
            return self._avro.decode(message)
        try:
            value: object = json.loads(message.value)
        except (ValueError, RecursionError) as error:
            raise UndecodableMessageException(f"{message.place} is not JSON: {error}") from error
        return value


def _process_attributes(message: Message, message_id: str) -> dict[str, AttributeValue]:
    return {
        attributes.MESSAGING_SYSTEM: attributes.KAFKA,
        attributes.MESSAGING_OPERATION_TYPE: attributes.OPERATION_PROCESS,
        attributes.MESSAGING_OPERATION_NAME: attributes.OPERATION_PROCESS,
        attributes.MESSAGING_DESTINATION_NAME: message.topic,
        attributes.MESSAGING_DESTINATION_PARTITION_ID: str(message.partition),
        attributes.MESSAGING_KAFKA_OFFSET: message.offset,
        attributes.MESSAGING_MESSAGE_ID: message_id,
    }


def _consumer(bootstrap_servers: str, options: Mapping[str, object]) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"outside-{uuid.uuid4()}",  # asked for by the library; no group is joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
            "auto.offset.reset": "earliest",
            **options,
        },
        logger=LibraryLog(),
    )


def _converted(record: KafkaMessage) -> Message:
    kind, timestamp = record.timestamp()
    return Message(
        record.topic() or "",
        record.partition() or 0,
        record.offset() or 0,
        record.key(),
        record.value(),
        tuple(_headers(record)),
        timestamp,
        1 if kind == TIMESTAMP_LOG_APPEND_TIME else 0,
    )


def _headers(record: KafkaMessage) -> Iterator[tuple[str, bytes | None]]:
    found = record.headers() or ()
    for name, value in found.items() if isinstance(found, dict) else found:
        yield name, value.encode() if isinstance(value, str) else value
