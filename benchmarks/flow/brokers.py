"""The brokers of a run, each in a process of its own, and what stands on them: commands before, events behind."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.environment import ROOT
from benchmarks.flow.cores import broker_core, on_core
from benchmarks.flow.job import EVENTS, PARTITIONS, Record
from cqrs.testing.kafka_server import KafkaServer, resolve_jars

POM = ROOT / "tests" / "kafka" / "pom.xml"

_SECONDS = 30.0
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
    name: str = "embedded broker"

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
    name: str = "Apache Kafka"

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
    with ExitStack() as closing:
        server = KafkaServer(jars, properties={"log.retention.check.interval.ms": "5000"})
        with on_core(broker_core()):
            closing.enter_context(server)
        yield RealKafka(server.bootstrap_servers)


def open_events(broker: Broker) -> None:
    """Make the topic that every contestant writes to; what was written long ago is dropped."""
    kept = {"retention.bytes": _KEPT_BYTES, "segment.bytes": _KEPT_BYTES}
    broker.create_topic(EVENTS, PARTITIONS, kept)


def put_commands(broker: Broker, topic: str, records: Iterator[Record], partitions: int = PARTITIONS) -> None:
    """Make the topic of a round, and its dead letters', and write all commands.

    Raises:
        BrokerException: not all are acknowledged in time.
    """
    broker.create_topic(topic, partitions)
    broker.create_topic(f"{topic}-dlt", partitions)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 20, "partitioner": "murmur2_random"})
    failures: list[str] = []

    def told(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    for number, record in enumerate(records):
        producer.produce(topic, record.value, record.key, headers=record.headers, on_delivery=told)
        if number % 1_000 == 0:
            producer.poll(0)
        if number % 50_000 == 49_999:
            producer.flush(_SECONDS)
    if producer.flush(_SECONDS) or failures:
        raise BrokerException(f"not all commands could be written to {topic}: {failures[:1]}")


@dataclass(slots=True)
class EventTopic:
    """Look at the topic of the events from outside.

    Attributes:
        bootstrap: The broker.
        seen: By partition, up to where events were counted.
    """

    bootstrap: str
    seen: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))

    def new(self) -> int:
        """Return how many events were written since the last call.

        Raises:
            BrokerException: the broker does not say.
        """
        ends = self._ends()
        count = sum(ends.values()) - sum(self.seen.values())
        self.seen = ends
        return count

    def read_new(self) -> list[Message]:
        """Return the events that were written since the last call.

        Raises:
            BrokerException: they do not come.
        """
        begin, count = dict(self.seen), self.new()
        consumer = self._consumer()
        consumer.assign([TopicPartition(EVENTS, partition, offset) for partition, offset in begin.items()])
        found: list[Message] = []
        try:
            while len(found) < count:
                batch = consumer.consume(min(count - len(found), 1_000), _SECONDS)
                if not batch:
                    raise BrokerException(f"{len(found)} of {count} events could be read")
                found += batch
        finally:
            consumer.close()
        return found

    def _ends(self) -> dict[int, int]:
        consumer = self._consumer()
        try:
            return {
                each: consumer.get_watermark_offsets(TopicPartition(EVENTS, each), _SECONDS)[1] for each in self.seen
            }
        except KafkaException as error:
            raise BrokerException(f"the ends of {EVENTS} are not known: {error}") from error
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "outside",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )


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
