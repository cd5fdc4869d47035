from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka.places import Place, known_partitions, read_place
from cqrs.testing.embedded_broker import EmbeddedBroker
from tests.unit.kafka.conftest import TOPIC

pytestmark = pytest.mark.asyncio
NOBODY = -1


@pytest_asyncio.fixture
async def client(broker: EmbeddedBroker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as made:
        yield made


async def test_the_partitions_are_asked_for_once_and_then_known(client: AIOKafkaProducer) -> None:
    assert read_place(client, TOPIC) is None
    assert await known_partitions(client, TOPIC) == {0, 1, 2}
    assert read_place(client, TOPIC) == Place(client, (0, 1, 2), (0, 1, 2))


async def test_a_topic_that_is_not_there_is_refused_and_not_created(client: AIOKafkaProducer) -> None:
    for _ in range(2):
        with pytest.raises(UnpublishableEventException, match="no such topic"):
            await known_partitions(client, "nowhere")


async def test_partitions_without_a_leader_are_not_available(broker: EmbeddedBroker, client: AIOKafkaProducer) -> None:
    broker.move_leader(TOPIC, 1, NOBODY)
    await known_partitions(client, TOPIC)
    assert read_place(client, TOPIC) == Place(client, (0, 1, 2), (0, 2))
    for partition in (0, 2):
        broker.move_leader(TOPIC, partition, NOBODY)
    await client.client.force_metadata_update()
    assert read_place(client, TOPIC) == Place(client, (0, 1, 2), (0, 1, 2))
