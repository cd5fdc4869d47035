"""Clients of the real Apache Kafka that the kit gives or starts, for the tests in this folder."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.testing.secured_kafka import SecuredKafka

ORDERS, GUEST, PASSWORD = "orders", "guest", "s3cret"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="module")
def secured_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that asks who one is and what one may do; `ORDERS` may do everything, `GUEST` nothing."""
    folder = tmp_path_factory.mktemp("secured")
    with SecuredKafka(kafka_jars, folder, users={ORDERS: PASSWORD}, guests={GUEST: PASSWORD}) as secured:
        yield secured


@pytest_asyncio.fixture
async def producers(kafka_bootstrap: str) -> AsyncIterator[Callable[..., KafkaProducer]]:
    async with AsyncExitStack() as stack:

        def make(**options: object) -> KafkaProducer:
            producer = KafkaProducer(bootstrap_servers=kafka_bootstrap, **options)  # type: ignore[arg-type]
            stack.push_async_callback(producer.stop)
            return producer

        yield make


@pytest_asyncio.fixture
async def consumers(kafka_bootstrap: str) -> AsyncIterator[Callable[..., KafkaConsumer]]:
    """Make members of a group that is named like their topics, or by `group_id`."""
    async with AsyncExitStack() as stack:

        def make(*topics: str, group_id: str = "", **options: object) -> KafkaConsumer:
            settings: dict[str, object] = {"bootstrap_servers": kafka_bootstrap, "session_timeout_seconds": 6.0}
            group_id = group_id or f"readers of {'-'.join(topics)}"
            consumer = KafkaConsumer(topics, group_id, **(settings | options))  # type: ignore[arg-type]
            stack.push_async_callback(consumer.stop)
            return consumer

        yield make
