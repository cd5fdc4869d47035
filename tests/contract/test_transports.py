"""Every transport of ours keeps the contract: in memory, on the embedded broker, on a real Apache Kafka."""

from collections.abc import AsyncIterator
from itertools import count
from typing import ClassVar

import pytest
import pytest_asyncio

from cqrs.testing.contracts.consumer import ConsumerContract
from cqrs.testing.contracts.producer import ProducerContract
from cqrs.testing.contracts.topic_reader import TopicReaderContract
from cqrs.testing.contracts.transport import Transport
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.fixtures import CreateTopics
from cqrs.testing.kafka_server import KafkaServer
from tests.contract.transports import KafkaTransport, MemoryTransport


class InMemory:
    @pytest.fixture
    def transport(self) -> Transport:
        return MemoryTransport()


class OnTheEmbeddedBroker:
    @pytest_asyncio.fixture
    async def transport(self, embedded_broker: EmbeddedBroker) -> AsyncIterator[Transport]:
        numbers = count()

        def create(partitions: int) -> str:
            name = f"topic-{next(numbers)}"
            embedded_broker.create_topic(name, partitions)
            return name

        async with KafkaTransport(
            embedded_broker.bootstrap_servers,
            create,
            embedded_broker.broker_down,
            embedded_broker.broker_up,
            fetch_max_wait_seconds=0.02,
            session_timeout_seconds=1.01,
        ) as transport:
            yield transport


@pytest.mark.kafka
class OnRealKafka:
    @pytest_asyncio.fixture
    async def transport(
        self, request: pytest.FixtureRequest, kafka_bootstrap: str, create_topics: CreateTopics
    ) -> AsyncIterator[Transport]:
        def server() -> KafkaServer:
            found: KafkaServer = request.getfixturevalue("kafka_server")  # skips where the broker is not ours
            return found

        async with KafkaTransport(
            kafka_bootstrap,
            lambda partitions: create_topics("contract", partitions=partitions)[0],
            lambda: server().kill(),
            lambda: server().start(),
            session_timeout_seconds=6.0,
        ) as transport:
            yield transport


class TestMemoryProducer(InMemory, ProducerContract): ...


class TestMemoryConsumer(InMemory, ConsumerContract):
    differences: ClassVar = {
        "test_a_further_member_takes_half_and_what_was_done_is_committed_before": (
            "a consumer in memory is the only member of its group; `reassign` plays the others"
        )
    }


class TestMemoryTopicReader(InMemory, TopicReaderContract): ...


class TestEmbeddedProducer(OnTheEmbeddedBroker, ProducerContract): ...


class TestEmbeddedConsumer(OnTheEmbeddedBroker, ConsumerContract):
    differences: ClassVar = {
        "test_a_further_member_takes_half_and_what_was_done_is_committed_before": (
            "the mock cluster ends a generation before its members gave their partitions back: no last commit is taken"
        )
    }


class TestEmbeddedTopicReader(OnTheEmbeddedBroker, TopicReaderContract): ...


class TestKafkaProducer(OnRealKafka, ProducerContract): ...


class TestKafkaConsumer(OnRealKafka, ConsumerContract): ...


class TestKafkaTopicReader(OnRealKafka, TopicReaderContract): ...
