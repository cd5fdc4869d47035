"""The brokers of a run, each in a process of its own, and what stands on them: commands before, events behind."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.environment import ROOT
from benchmarks.flow.checks import Event
from benchmarks.flow.cores import broker_core, on_core
from benchmarks.flow.job import PARTITIONS, Record
from benchmarks.flow.roster import EMBEDDED, KAFKA
from cqrs.testing.kafka_server import KafkaServer, resolve_jars

POM = ROOT / "tests" / "kafka" / "pom.xml"

_SECONDS = 30.0
_QUIET = {"log_level": 4}
_KEPT_BYTES = str(16 * 1024 * 1024)


class BrokerException(Exception):
    """Report that the broker did not take the commands, or does not give the events back."""


class Broker(Protocol):
    """Be a running broker.

    Attributes:
        name: How tables name it.
        bootstrap: Its address.
    """

    name: str
    bootstrap: str

    def create_topic(self, name: str, partitions: int, properties: Mapping[str, str] | None = None) -> None:
        """Make a topic."""


@dataclass(slots=True)
class EmbeddedInProcess:
    """Be the embedded broker, in a process of its own.

    Attributes:
        bootstrap: Its address.
        process: Its process.
        name: How tables name it.
    """

    bootstrap: str
    process: "subprocess.Popen[str]"
    name: str = EMBEDDED

    def create_topic(self, name: str, partitions: int, properties: Mapping[str, str] | None = None) -> None:
        """Make a topic; it knows no properties, and keeps about 5 MiB of a partition."""
        _tell(self.process, f"{name} {partitions}")


@dataclass(slots=True)
class RealKafka:
    """Be Apache Kafka.

    Attributes:
        bootstrap: Its address.
        name: How tables name it.
    """

    bootstrap: str
    name: str = KAFKA

    def create_topic(self, name: str, partitions: int, properties: Mapping[str, str] | None = None) -> None:
        """Make a topic."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topic = NewTopic(name, partitions, 1, config=dict(properties or {}))
        for made in admin.create_topics([topic], operation_timeout=_SECONDS).values():
            made.result(_SECONDS)


@contextmanager
def embedded() -> Iterator[EmbeddedInProcess]:
    """Start the embedded broker, on the brokers' core."""
    core = broker_core()
    command = [sys.executable, "-m", "benchmarks.flow.embedded", *([] if core is None else [str(core)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield EmbeddedInProcess(_line(process), process)
        finally:
            process.kill()


@contextmanager
def kafka(pom: Path = POM) -> Iterator[RealKafka]:
    """Start Apache Kafka, on the brokers' core.

    Raises:
        KafkaServerException: Java or Maven is missing, or it does not start.
    """
    jars = resolve_jars(pom)
    with ExitStack() as stack:
        server = KafkaServer(jars, properties={"log.retention.check.interval.ms": "5000"})
        with on_core(broker_core()):
            stack.enter_context(server)
        yield RealKafka(server.bootstrap_servers)


def open_events(broker: Broker, topics: Iterable[str]) -> None:
    """Make the topics that contestants write to; what was written long ago is dropped."""
    kept = {"retention.bytes": _KEPT_BYTES, "segment.bytes": _KEPT_BYTES}
    for topic in topics:
        broker.create_topic(topic, PARTITIONS, kept)


def put_commands(broker: Broker, topic: str, records: Iterator[Record]) -> None:
    """Make the topic of a round, and its dead letters', and write all commands.

    Raises:
        BrokerException: not all are acknowledged in time, or the broker did not keep all.
    """
    broker.create_topic(topic, PARTITIONS)
    broker.create_topic(f"{topic}-dlt", PARTITIONS)
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "linger.ms": 20, "partitioner": "murmur2_random"} | _QUIET
    )
    failures: list[str] = []

    def told(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    written = 0
    for written, record in enumerate(records, start=1):
        producer.produce(topic, record.value, record.key, headers=[*record.headers], on_delivery=told)
        if written % 1_000 == 0:
            producer.poll(0)
        if written % 50_000 == 0:
            producer.flush(_SECONDS)
    if producer.flush(_SECONDS) or failures:
        raise BrokerException(f"not all commands could be written to {topic}: {failures[:1]}")
    with closing(EventTopic(broker.bootstrap, topic)) as commands:
        kept = commands.kept()
    if kept != written:
        raise BrokerException(
            f"the {broker.name} keeps {kept:,} of {written:,} commands: the embedded one drops what is beyond 5 MiB "
            "of a partition; ask for fewer --messages, or for --broker kafka"
        )


def committed(broker: Broker, topic: str, group: str) -> int:
    """Return how many records of a topic a group has committed.

    Raises:
        BrokerException: the broker does not say.
    """
    asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    with closing(Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group} | _QUIET)) as consumer:
        try:
            found = consumer.committed(asked, _SECONDS)
        except KafkaException as error:
            raise BrokerException(f"what {group} has committed is not known: {error}") from error
    return sum(max(place.offset, 0) for place in found)


class EventTopic:
    """Look at a topic of events from outside.

    Args:
        bootstrap: The broker.
        topic: The topic.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._seen = dict.fromkeys(range(PARTITIONS), 0)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "outside",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
            | _QUIET
        )

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def count_new(self) -> int:
        """Return how many events were written since the last call of either kind.

        Raises:
            BrokerException: the broker does not say.
        """
        ends = {each: self._bounds(each)[1] for each in self._seen}
        count = sum(ends.values()) - sum(self._seen.values())
        self._seen = ends
        return count

    def read_new(self) -> list[Event]:
        """Return the events that were written since the last call of either kind.

        Raises:
            BrokerException: they do not come.
        """
        begin, count = self._seen, self.count_new()
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in begin.items()]
        self._consumer.assign(places)
        found: list[Message] = []
        while len(found) < count:
            batch = self._consumer.consume(min(count - len(found), 1_000), _SECONDS)
            if not batch:
                raise BrokerException(f"only {len(found)} of {count} events of {self._topic} could be read")
            found += batch
        self._consumer.unassign()
        return [
            Event(each.key(), each.value() or b"", cast("dict[str, bytes]", dict(each.headers() or ())))
            for each in found
        ]

    def kept(self) -> int:
        """Return how many records the topic holds.

        Raises:
            BrokerException: the broker does not say.
        """
        bounds = [self._bounds(each) for each in self._seen]
        return sum(end - begin for begin, end in bounds)

    def _bounds(self, partition: int) -> tuple[int, int]:
        try:
            bounds: tuple[int, int] = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), _SECONDS
            )
        except KafkaException as error:
            raise BrokerException(f"the end of {self._topic}[{partition}] is not known: {error}") from error
        return bounds


def _tell(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    _line(process)


def _line(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise BrokerException(f"the embedded broker ended with exit code {process.wait()}; it says why above")
    return line.strip()
