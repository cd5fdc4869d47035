import asyncio
from collections.abc import Callable

import pytest
from aiokafka.client import AIOKafkaClient

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.fetching import TolerantConsumer
from cqrs.kafka.patience import PatientClient
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage
from cqrs.testing.embedded_broker import EmbeddedBroker

TOPIC = "orders.commands"
NOBODY = -1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The outcome of each question for metadata that a client asks."""
    outcomes: list[bool] = []
    ask = AIOKafkaClient._metadata_update

    async def counted(self: AIOKafkaClient, *arguments: object) -> bool:
        outcomes.append(await ask(self, *arguments))
        return outcomes[-1]

    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", counted)
    return outcomes


@pytest.mark.asyncio
async def test_a_send_whose_partition_has_no_leader_does_not_ask_without_pause(
    broker: EmbeddedBroker, producers: Callable[..., KafkaProducer], asked: list[bool]
) -> None:
    producer = producers(send_timeout_seconds=0.55)
    await producer.send(OutgoingMessage(TOPIC, b"k", b"v"))
    asked.clear()
    for partition in range(3):
        broker.move_leader(TOPIC, partition, NOBODY)
    client = producer._producers.usual.producer
    assert client is not None
    await client.client.force_metadata_update()
    with pytest.raises(DependencyUnavailableException):
        await producer.send(OutgoingMessage(TOPIC, b"k", b"v"))
    assert 2 <= len(asked) <= 10


@pytest.mark.asyncio
async def test_a_client_whose_broker_is_away_does_not_ask_without_pause(
    broker: EmbeddedBroker, asked: list[bool]
) -> None:
    client = PatientClient(bootstrap_servers=broker.bootstrap_servers, retry_backoff_ms=50)
    await client.bootstrap()
    try:
        broker.broker_down()
        began = asyncio.get_running_loop().time()
        for _ in range(5):
            assert not await client.force_metadata_update()
        assert asyncio.get_running_loop().time() - began >= 4 * 0.05
        assert asked == [False] * 5
        broker.broker_up()
        assert await client.force_metadata_update()
    finally:
        await client.close()


@pytest.mark.asyncio
async def test_answers_that_help_are_followed_by_no_pause(broker: EmbeddedBroker) -> None:
    client = PatientClient(bootstrap_servers=broker.bootstrap_servers, retry_backoff_ms=60_000)
    await client.bootstrap()
    try:
        async with asyncio.timeout(10):
            assert await client.add_topic(TOPIC)
            assert await client.force_metadata_update()
    finally:
        await client.close()


@pytest.mark.asyncio
async def test_a_pause_does_not_hold_up_the_close(broker: EmbeddedBroker) -> None:
    client = PatientClient(bootstrap_servers=broker.bootstrap_servers, retry_backoff_ms=60_000)
    await client.bootstrap()
    broker.broker_down()
    assert not await client.force_metadata_update()
    waiting = client.force_metadata_update()
    async with asyncio.timeout(10):
        await client.close()
    assert not waiting.done()


@pytest.mark.asyncio
async def test_a_consumer_asks_with_the_same_patience(broker: EmbeddedBroker) -> None:
    consumer = TolerantConsumer(TOPIC, bootstrap_servers=broker.bootstrap_servers)
    assert isinstance(consumer._client, PatientClient)
    await consumer.stop()
