"""Transports of ours that the contract suites run on."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import Self

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.topic_reader import KafkaTopicReader
from cqrs.testing.memory import MemoryBroker, MemoryConsumer, MemoryProducer, MemoryTopicReader

CreateTopic = Callable[[int], str]
Deed = Callable[[], object]


class MemoryTransport:
    """Be the broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker({})
        self._numbers = count()

    async def create_topic(self, partitions: int = 1) -> str:
        name = f"topic-{next(self._numbers)}"
        self.broker.create_topic(name, partitions)
        return name

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self.broker)

    def consumer(self, topic: str, group_id: str = "readers") -> MemoryConsumer:
        return MemoryConsumer(self.broker, [topic], f"{group_id} of {topic}")

    def topic_reader(self, topic: str) -> MemoryTopicReader:
        return MemoryTopicReader(self.broker, topic)

    async def take_away(self) -> None:
        self.broker.is_away = True

    async def bring_back(self) -> None:
        self.broker.is_away = False


class KafkaTransport:
    """Be our clients of Kafka on some brokers, with short times.

    Args:
        bootstrap_servers: The brokers.
        create: Creates a topic with so many partitions.
        leave: Takes the brokers away.
        come_back: Brings them back.
        options: What consumers are given.
    """

    def __init__(
        self, bootstrap_servers: str, create: CreateTopic, leave: Deed, come_back: Deed, **options: object
    ) -> None:
        self._servers = bootstrap_servers
        self._create, self._leave, self._come_back = create, leave, come_back
        self._options = {"silence_seconds": 1.0, "request_timeout_seconds": 2.0, **options}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def create_topic(self, partitions: int = 1) -> str:
        return await asyncio.to_thread(self._create, partitions)

    def producer(self) -> KafkaProducer:
        producer = KafkaProducer(bootstrap_servers=self._servers, send_timeout_seconds=3.0, stop_timeout_seconds=1.0)
        self._closing.push_async_callback(producer.stop)
        return producer

    def consumer(self, topic: str, group_id: str = "readers") -> KafkaConsumer:
        consumer = KafkaConsumer(
            [topic],
            f"{group_id} of {topic}",
            bootstrap_servers=self._servers,
            **self._options,  # type: ignore[arg-type]
        )
        self._closing.push_async_callback(consumer.stop)
        return consumer

    def topic_reader(self, topic: str) -> KafkaTopicReader:
        known = {name: value for name, value in self._options.items() if name != "session_timeout_seconds"}
        reader = KafkaTopicReader([topic], bootstrap_servers=self._servers, **known)  # type: ignore[arg-type]
        self._closing.push_async_callback(reader.stop)
        return reader

    async def take_away(self) -> None:
        await asyncio.to_thread(self._leave)

    async def bring_back(self) -> None:
        await asyncio.to_thread(self._come_back)
