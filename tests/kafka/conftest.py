"""A real Apache Kafka for the tests in this folder: a given one, or one that the session starts."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServer, KafkaServerException, missing_tools, resolve_jars
from cqrs.testing.secured_kafka import SecuredKafka

HOW_TO_RUN = (
    "To run them: install Java 17 or newer and Maven (Debian: apt-get install -y default-jre-headless maven), or set "
    "KAFKA_BOOTSTRAP_SERVERS to an Apache Kafka; then: pytest tests/kafka"
)
NOT_OURS = (
    "the brokers named by KAFKA_BOOTSTRAP_SERVERS are not ours to kill or to secure; to run these tests on brokers of "
    "our own, unset it"
)
ORDERS, GUEST, PASSWORD = "orders", "guest", "s3cret"

CreateTopics = Callable[..., list[str]]
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """What a broker of our own is made of; whoever needs one is skipped where it cannot be had."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip(NOT_OURS)
    missing = missing_tools()
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found. {HOW_TO_RUN}")
    try:
        return resolve_jars(Path(__file__).with_name("pom.xml"))
    except KafkaServerException as error:
        pytest.skip(f"Maven could not get the jars of Kafka: {str(error)[-300:]}. {HOW_TO_RUN}")


@pytest.fixture(scope="session")
def own_server(request: pytest.FixtureRequest) -> Iterator[KafkaServer | None]:
    """The broker of this session; None when KAFKA_BOOTSTRAP_SERVERS gives another."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield None
        return
    with KafkaServer(request.getfixturevalue("kafka_jars")) as server:
        yield server


@pytest.fixture(scope="module")
def own_cluster(kafka_jars: Path) -> Iterator[KafkaCluster]:
    """Three brokers for the tests of one module."""
    with KafkaCluster(kafka_jars, brokers=3) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(own_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers, of which the test may stop, kill and start any; all run again afterwards."""
    yield own_cluster
    own_cluster.start()


@pytest.fixture(scope="module")
def secured_kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that asks who one is and what one may do; `ORDERS` may do everything, `GUEST` nothing."""
    folder = tmp_path_factory.mktemp("secured")
    with SecuredKafka(kafka_jars, folder, users={ORDERS: PASSWORD}, guests={GUEST: PASSWORD}) as secured:
        yield secured


@pytest.fixture
def kafka_server(own_server: KafkaServer | None) -> Iterator[KafkaServer]:
    """A broker that the test may stop, kill and start; it runs again afterwards."""
    if own_server is None:
        pytest.skip(NOT_OURS)
    yield own_server
    own_server.start()


@pytest.fixture(scope="session")
def kafka_bootstrap(own_server: KafkaServer | None) -> str:
    """`host:port` of a real Apache Kafka."""
    return own_server.bootstrap_servers if own_server else os.environ["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
def create_topics(kafka_bootstrap: str) -> CreateTopics:
    """Create topics under names that no other test has: `[orders] = create_topics("orders", partitions=3)`."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    def create(*names: str, partitions: int = 1, **config: str) -> list[str]:
        unique = [f"{name}-{os.getpid()}-{next(_numbers)}" for name in names]
        settings = {key.replace("_", "."): value for key, value in config.items()}
        topics = [NewTopic(name, num_partitions=partitions, config=settings) for name in unique]
        for created in admin.create_topics(topics).values():
            created.result(timeout=30)
        return unique

    return create


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
