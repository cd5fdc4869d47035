"""The kit as fixtures of pytest; a project takes them by `pytest_plugins = ["cqrs.testing.fixtures"]`.

Needs pytest and pytest-asyncio: the extra `testing` of this package names them. Nothing else of `cqrs.testing` but the
contract suites imports pytest.

Tests on a real Kafka use the brokers that KAFKA_BOOTSTRAP_SERVERS names, or one that the session starts from its jars.
Where neither can be had they are skipped and say what to install; with `CI=true` that is a failure.
"""

import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import count
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import pytest
import pytest_asyncio
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.testing.deployment import SECONDS as WAIT_SECONDS
from cqrs.testing.deployment import Deployable, Deployed
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.jaeger_server import JaegerServer, JaegerServerException, build_jaeger
from cqrs.testing.kafka_cluster import KafkaCluster
from cqrs.testing.kafka_server import KafkaServer, KafkaServerException, missing_tools, resolve_jars
from cqrs.testing.outside_client import OutsideClient
from cqrs.testing.registry_server import RegistryServer, RegistryServerException, resolve_registry
from cqrs.testing.service_process import ServiceProcess

HOW_TO_RUN = (
    "To run them: install Java 17 or newer and Maven (Debian: apt-get install -y default-jre-headless maven), or set "
    "KAFKA_BOOTSTRAP_SERVERS to an Apache Kafka"
)
REGISTRY_HOW_TO_RUN = (
    "To run them: install Java 17 or newer and Maven (Debian: apt-get install -y default-jre-headless maven)"
)
NOT_OURS = (
    "the brokers named by KAFKA_BOOTSTRAP_SERVERS are not ours to kill or to secure; to run these tests on brokers of "
    "our own, unset it"
)

pytest.register_assert_rewrite("cqrs.testing.contracts")

SECONDS = 30.0
"""How long the creation of topics may take."""

S = TypeVar("S", bound=Deployable)
Connect = Callable[..., OutsideClient]
StartProcess = Callable[..., Awaitable[ServiceProcess]]

_SESSION = uuid.uuid4().hex[:8]  # two runs may share a cluster, and in containers also their process ids
_AGAIN_SECONDS = 0.05
_numbers = count(1)
_log = logging.getLogger(__name__)


class CreateTopics(Protocol):
    """Create topics under names that no other test has, and return these."""

    def __call__(self, *names: str, partitions: int = 1, **config: str) -> list[str]:
        """Create them: `[orders] = create_topics("orders", partitions=3, max_message_bytes="1000")`."""
        ...


class Deploy(Protocol):
    """Start a service for one test."""

    async def __call__(self, service: S, *, seconds: float = WAIT_SECONDS) -> Deployed[S]:
        """Return it once it consumes, and have it wait so long for anything; it is stopped behind the test."""
        ...


def without_server(reason: str) -> NoReturn:
    """Skip the test for want of a server; with CI=true, where servers must be, fail it.

    Raises:
        BaseException: pytest's own, for one or the other.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"with CI=true this may not be skipped: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def outlasting() -> Iterator[ExitStack]:
    """Give a place for what outlasts the services and clients of a test, in whatever order it names its fixtures.

    A service whose broker went before it waits for that broker until its stop gives up.
    """
    with ExitStack() as closing:
        yield closing


@pytest.fixture
def embedded_broker(outlasting: ExitStack) -> EmbeddedBroker:
    """Start an embedded broker of the test's own, with no topics; it stops behind the services and clients on it."""
    return outlasting.enter_context(EmbeddedBroker())


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """Give what a broker of our own is made of, from the cache or by Maven."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip(NOT_OURS)
    missing = missing_tools()
    if missing:
        without_server(f"{' and '.join(missing)} not found. {HOW_TO_RUN}")
    try:
        return resolve_jars()
    except KafkaServerException as error:
        without_server(f"Maven could not get the jars of Kafka: {str(error)[-300:]}. {HOW_TO_RUN}")


@pytest.fixture(scope="session")
def own_kafka_server(request: pytest.FixtureRequest) -> Iterator[KafkaServer | None]:
    """Start the broker of this session; None when KAFKA_BOOTSTRAP_SERVERS gives another."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield None
        return
    with KafkaServer(request.getfixturevalue("kafka_jars")) as server:
        yield server


@pytest.fixture
def kafka_server(own_kafka_server: KafkaServer | None) -> Iterator[KafkaServer]:
    """Give a real broker that the test may stop, kill and start; it runs again afterwards."""
    if own_kafka_server is None:
        pytest.skip(NOT_OURS)
    yield own_kafka_server
    own_kafka_server.start()


@pytest.fixture(scope="session")
def kafka_bootstrap(own_kafka_server: KafkaServer | None) -> str:
    """Give `host:port` of a real Apache Kafka."""
    return own_kafka_server.bootstrap_servers if own_kafka_server else os.environ["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture(scope="module")
def own_kafka_cluster(kafka_jars: Path) -> Iterator[KafkaCluster]:
    """Start three brokers for the tests of one module."""
    with KafkaCluster(kafka_jars, brokers=3) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(own_kafka_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """Give three real brokers, of which the test may stop, kill and start any; all run again afterwards."""
    yield own_kafka_cluster
    own_kafka_cluster.start()


@pytest.fixture(scope="session")
def jaeger_program() -> Path:
    """Give what a Jaeger of our own is, from the cache or built with Go."""
    try:
        return build_jaeger()
    except JaegerServerException as error:
        without_server(f"Jaeger could not be built: {str(error)[-300:]}")


@pytest.fixture
def jaeger_server(jaeger_program: Path) -> Iterator[JaegerServer]:
    """Start a Jaeger of the test's own, with no traces."""
    with JaegerServer(jaeger_program) as server:
        yield server


@pytest.fixture(scope="session")
def registry_app() -> Path:
    """Give the folder of a real schema registry, from the cache or by Maven."""
    if missing := missing_tools():
        without_server(f"{' and '.join(missing)} not found. {REGISTRY_HOW_TO_RUN}")
    try:
        return resolve_registry()
    except RegistryServerException as error:
        without_server(f"{error}. {REGISTRY_HOW_TO_RUN}")


@pytest.fixture(scope="module")
def registry_server(registry_app: Path) -> Iterator[RegistryServer]:
    """Start a real schema registry that lets everybody in, for the tests of one module."""
    with RegistryServer(registry_app) as server:
        yield server


@pytest.fixture
def create_topics(kafka_bootstrap: str, outlasting: ExitStack) -> CreateTopics:
    """Give what creates topics of the test's own on the real Kafka; it waits until they can be used.

    They are deleted behind the test, and behind the services on them.
    """
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    def create(*names: str, partitions: int = 1, **config: str) -> list[str]:
        unique = [f"{name}-{_SESSION}-{next(_numbers)}" for name in names]
        settings = {key.replace("_", "."): value for key, value in config.items()}
        topics = [NewTopic(name, num_partitions=partitions, config=settings) for name in unique]
        for created in admin.create_topics(topics).values():
            created.result(timeout=SECONDS)
        outlasting.callback(_delete, admin, unique)
        _await_leaders(admin, unique, partitions)
        return unique

    return create


def _delete(admin: AdminClient, topics: Sequence[str]) -> None:
    """Delete the topics; a cluster that refuses it keeps them, which fails no test."""
    for topic, deleted in admin.delete_topics(list(topics), operation_timeout=SECONDS).items():
        try:
            deleted.result(timeout=SECONDS)
        except (KafkaException, TimeoutError) as error:
            _log.warning("%s was not deleted: %s", topic, error)


def _await_leaders(admin: AdminClient, topics: Sequence[str], partitions: int) -> None:
    """Wait until the brokers tell clients who leads each partition: they do a moment after they created it.

    Raises:
        TimeoutError: they did not in time.
    """
    deadline = time.monotonic() + SECONDS
    unknown = set(topics)
    while unknown:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no leaders are known for {', '.join(sorted(unknown))}")
        for topic in tuple(unknown):
            known = admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions
            if len(known) == partitions and all(each.leader >= 0 for each in known.values()):
                unknown.discard(topic)
        if unknown:
            time.sleep(_AGAIN_SECONDS)


@pytest.fixture
def connect(outlasting: ExitStack) -> Iterator[Connect]:
    """Give what makes an `OutsideClient`, with its arguments; each is closed behind the test."""
    with ExitStack() as closing:

        def make(bootstrap_servers: str, registry_url: str | None = None, **options: object) -> OutsideClient:
            client = OutsideClient(bootstrap_servers, registry_url, **options)  # type: ignore[arg-type]
            return closing.enter_context(client)

        yield make


@pytest_asyncio.fixture
async def deploy(outlasting: ExitStack) -> AsyncIterator[Deploy]:
    """Give what starts a service in the test's own process.

    It is awaited: `deployed = await deploy(Service(settings, parts), seconds=60)`; left out, it waits for 20 s.
    """
    async with AsyncExitStack() as closing:

        async def start(service: S, *, seconds: float = WAIT_SECONDS) -> Deployed[S]:
            return await closing.enter_async_context(Deployed(service, seconds=seconds))

        yield start


@pytest_asyncio.fixture
async def start_process(outlasting: ExitStack) -> AsyncIterator[StartProcess]:
    """Give what starts a service as a process of its own, with the arguments of `ServiceProcess`."""
    async with AsyncExitStack() as closing:

        async def start(module: str, *arguments: str, **options: object) -> ServiceProcess:
            process = ServiceProcess(module, *arguments, **options)  # type: ignore[arg-type]
            return await closing.enter_async_context(process)

        yield start
