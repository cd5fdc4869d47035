"""Read topics as they lie, fast, and look at what groups have committed: from outside, with confluent-kafka."""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from cqrs.messaging.message import Message

SECONDS = 180.0

Headers = list[tuple[str, str | bytes | None]]
_AT_ONCE = 10_000
_AGAIN_SECONDS = 0.2
_ASK_SECONDS = 10.0


class Log:
    """Follow every partition of one topic from its beginning, or from its present end.

    Args:
        bootstrap_servers: The brokers.
        topic: What is read.
        at_end: Begin with what comes from now on.
    """

    def __init__(self, bootstrap_servers: str, topic: str, *, at_end: bool = False) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"chaos-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        self._new_admin = partial(AdminClient, {"bootstrap.servers": bootstrap_servers, "log_level": 2})
        self._admin = self._new_admin()
        count = _partitions(self._consumer, topic)
        self._places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(count)]
        self._next = dict.fromkeys(range(count), 0)
        if at_end:
            self._next = dict(self.ends())
            for place in self._places:
                place.offset = self._next[place.partition]
        self._consumer.assign(self._places)

    def to_end(self) -> Iterator[Message]:
        """Yield what is new, up to the present end; records of one partition in their order.

        Raises:
            TimeoutError: the end was not reached in time.
        """
        ends = self.ends()
        deadline = time.monotonic() + SECONDS
        while any(self._next[number] < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {self._next} was read of {ends} within {SECONDS:g} s")
            for message in self._consumer.consume(_AT_ONCE, 0.2):
                if message.error() is not None:
                    continue
                self._next[message.partition() or 0] = (message.offset() or 0) + 1
                yield Message(
                    message.topic() or "",
                    message.partition() or 0,
                    message.offset() or 0,
                    message.key(),
                    message.value(),
                    tuple(message.headers() or ()),  # type: ignore[arg-type]
                    message.timestamp()[1],
                )

    def ends(self) -> Mapping[int, int]:
        """Return the offset of the next record of each partition, waiting for partitions that change their leader.

        Raises:
            KafkaException: the brokers do not say so in time.
            TimeoutError: they say nothing.
        """
        deadline = time.monotonic() + SECONDS
        asked_for = [TopicPartition(each.topic, each.partition) for each in self._places]
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        while True:
            asked = self._admin.list_offsets(dict.fromkeys(asked_for, latest), request_timeout=_ASK_SECONDS)
            try:
                return {place.partition: found.result(2 * _ASK_SECONDS).offset for place, found in asked.items()}
            except (KafkaException, TimeoutError):  # a question to a broker that is killed just then may never end
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
                self._admin = self._new_admin()  # the old one goes on with the epochs of leaders that are gone

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _partitions(consumer: Consumer, topic: str) -> int:
    """Return how many partitions a topic has; one that was just created may have none for a moment."""
    deadline = time.monotonic() + SECONDS
    while not (known := consumer.list_topics(topic, SECONDS).topics[topic].partitions):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the brokers know no partition of {topic} after {SECONDS:g} s")
        time.sleep(_AGAIN_SECONDS)
    return len(known)


def create(bootstrap_servers: str, topics: Mapping[str, int], copies: int = 1, **config: str) -> None:
    """Create topics with so many partitions; those that are there stay."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})
    new = [NewTopic(name, count, copies, config=config) for name, count in topics.items()]
    for made in admin.create_topics(new).values():
        try:
            made.result(SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def send(bootstrap_servers: str, topic: str, records: Iterable[tuple[bytes, bytes, Headers]]) -> None:
    """Store records (key, value, headers) in their order, and return when all are acknowledged.

    Raises:
        TimeoutError: the brokers did not take all of them in time.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 2,
        }
    )
    for key, value, headers in records:
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        producer.poll(0)
    if left := producer.flush(SECONDS):
        raise TimeoutError(f"{left} records for {topic} were not acknowledged within {SECONDS:g} s")


def committed(bootstrap_servers: str, group: str, topic: str, partitions: int) -> Sequence[int]:
    """Return the group's committed offset of each partition; 0 where there is none."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 2})
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        return [max(each.offset, 0) for each in consumer.committed(places, SECONDS)]
    finally:
        consumer.close()
