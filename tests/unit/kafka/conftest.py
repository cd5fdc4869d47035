from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.testing.embedded_broker import EmbeddedBroker

TOPIC = "orders.commands"


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create_topic(TOPIC, partitions=3)
        yield running


@pytest_asyncio.fixture
async def producers(broker: EmbeddedBroker) -> AsyncIterator[Callable[..., KafkaProducer]]:
    async with AsyncExitStack() as stack:

        def make(**options: object) -> KafkaProducer:
            producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, **options)  # type: ignore[arg-type]
            stack.push_async_callback(producer.stop)
            return producer

        yield make


@pytest_asyncio.fixture
async def consumers(broker: EmbeddedBroker) -> AsyncIterator[Callable[..., KafkaConsumer]]:
    async with AsyncExitStack() as stack:

        def make(*topics: str, **options: object) -> KafkaConsumer:
            defaults: dict[str, object] = {
                "bootstrap_servers": broker.bootstrap_servers,
                "fetch_max_wait_seconds": 0.02,
                # The mock cluster lets a second member wait for the session timeout less one second.
                "session_timeout_seconds": 1.01,
            }
            consumer = KafkaConsumer(topics or [TOPIC], "orders", **(defaults | options))  # type: ignore[arg-type]
            stack.push_async_callback(consumer.stop)
            return consumer

        yield make
