"""What the tests of the consumer share: a listener, and ways to send and to read."""

import asyncio
from collections.abc import Callable, Mapping

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.messaging.ports import Consumer
from cqrs.testing.contracts.transport import read

__all__ = ["read"]

TOPIC = "orders.commands"
PLACES = [TopicPartition(TOPIC, number) for number in range(3)]
ALL = frozenset(PLACES)
MakeProducer = Callable[..., KafkaProducer]
MakeConsumer = Callable[..., KafkaConsumer]

SASL_FAILED, GROUP_DENIED, NOT_COORDINATOR, ILLEGAL_GENERATION, REBALANCING, METADATA_TOO_LARGE = 58, 30, 16, 22, 27, 12


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, frozenset[TopicPartition]]] = []
        self.committed: dict[TopicPartition, Position | None] = {}
        self.revoked = asyncio.Event()

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.told.append(("assigned", frozenset(committed)))
        self.committed = dict(committed)

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.told.append(("revoked", partitions))
        self.revoked.set()


async def poll_for(consumer: Consumer, seconds: float, partitions: list[TopicPartition]) -> None:
    """Poll for a while from partitions that have nothing."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        assert not await consumer.poll(0.1, partitions)


async def send_to(producer: KafkaProducer, partition: int, *values: bytes) -> None:
    for value in values:
        await producer.send(OutgoingMessage(TOPIC, b"k", value, partition=partition))


async def send(producer: KafkaProducer, *values: bytes, key: bytes = b"k") -> None:
    for value in values:
        await producer.send(OutgoingMessage(TOPIC, key, value))
