"""The fixtures end in an order that holds whatever the order of a test's arguments, and share nothing between runs."""

import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from cqrs.testing import fixtures
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.fixtures import Connect, CreateTopics, Deploy


def answers(broker: EmbeddedBroker) -> bool:
    host, port = broker.bootstrap_servers.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


class Idle:
    """Be a service that notes whether its broker is there when it stops."""

    registry_url = management_url = "http://127.0.0.1:1"

    def __init__(self, broker: EmbeddedBroker, noted: list[bool]) -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        self._broker = broker
        self._noted = noted

    async def start(self) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def stop(self) -> None:
        self._noted.append(answers(self._broker))


@pytest.fixture
def noted() -> Iterator[list[bool]]:
    """Give a list for what is noted at the end of the test, and look at it behind all other fixtures."""
    found: list[bool] = []
    yield found
    assert found == [True]


@pytest.mark.asyncio
async def test_a_broker_named_behind_the_service_outlasts_it(
    noted: list[bool], deploy: Deploy, embedded_broker: EmbeddedBroker
) -> None:
    await deploy(Idle(embedded_broker, noted))


@pytest.mark.asyncio
async def test_a_broker_named_before_the_service_outlasts_it(
    noted: list[bool], embedded_broker: EmbeddedBroker, deploy: Deploy
) -> None:
    await deploy(Idle(embedded_broker, noted))


def test_a_broker_named_behind_its_client_outlasts_it(
    noted: list[bool], monkeypatch: pytest.MonkeyPatch, connect: Connect, embedded_broker: EmbeddedBroker
) -> None:
    client = connect(embedded_broker.bootstrap_servers)
    monkeypatch.setattr(client, "close", lambda: noted.append(answers(embedded_broker)))


class Admin:
    """Be an administrator of a cluster whose new topics have no leader at first, and that deletes but one topic."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def create_topics(self, topics: Sequence[NewTopic]) -> dict[str, Future[None]]:
        self._log += [f"create {each.topic}" for each in topics]
        return {each.topic: done() for each in topics}

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        asked = self._log.count(f"ask for {topic}")
        self._log.append(f"ask for {topic}")
        partitions = {0: SimpleNamespace(leader=0 if asked else -1)}
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions)})

    def delete_topics(self, topics: Sequence[str], operation_timeout: float) -> dict[str, Future[None]]:
        self._log += [f"delete {each}" for each in topics]
        refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        return {each: done(refused if each.startswith("kept") else None) for each in topics}


def done(error: Exception | None = None) -> Future[None]:
    future: Future[None] = Future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    return future


@pytest.fixture
def kafka_bootstrap() -> str:
    return "127.0.0.1:1"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give what is asked of the cluster, in its order, and look at its end behind all other fixtures."""
    done_so_far: list[str] = []
    monkeypatch.setattr(fixtures, "AdminClient", lambda _: Admin(done_so_far))
    monkeypatch.setattr(time, "sleep", lambda _: done_so_far.append("pause"))
    yield done_so_far
    assert [each.rpartition("-")[0] for each in done_so_far[-2:]] == [
        f"delete {each}-{fixtures._SESSION}" for each in ("kept", "gone")
    ]


def test_topics_have_names_of_this_session_and_are_gone_behind_the_test(
    log: list[str], create_topics: CreateTopics
) -> None:
    kept, gone = create_topics("kept", "gone")

    assert kept != gone
    assert all(each.split("-")[1] == fixtures._SESSION for each in (kept, gone))
    assert len(fixtures._SESSION) == 8
    assert [each for each in log if each.startswith("ask") or each == "pause"][2] == "pause"
