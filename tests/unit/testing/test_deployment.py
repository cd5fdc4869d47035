"""What the kit does around a service in the test's own process keeps its promises, and keeps off the service's loop."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cqrs.config.settings import ServiceSettings
from cqrs.http.server import ThreadedServer
from cqrs.testing import deployment, outside_client
from cqrs.testing.deployment import Deployed
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.fixtures import Deploy
from tests.unit.testing.registry_server import registry_server

SCHEMA = '{"type": "record", "name": "Do", "fields": [{"name": "sku", "type": "string"}]}'


class Nothing:
    """Be a service that does nothing, on a broker with one topic."""

    registry_url: str = "http://127.0.0.1:1"

    def __init__(self, broker: EmbeddedBroker, management_url: str = "http://127.0.0.1:1") -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        self.management_url = management_url

    async def start(self) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def stop(self) -> None:
        pass


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create_topic("t")
        yield running


@pytest.mark.asyncio
async def test_a_record_is_stored_exactly_so(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker)) as deployed:
        await deployed.store("t", b"\xff", (("h", None),), key=b"k")
        (stored,) = await deployed.records("t", 1)

    assert (stored.message.value, stored.message.key, stored.message.headers) == (b"\xff", b"k", (("h", None),))


@pytest.mark.asyncio
async def test_a_record_that_the_broker_does_not_take_fails_the_test_and_says_why(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker), seconds=3) as deployed:
        with pytest.raises(AssertionError, match=r"t\[99\]: Local: Unknown partition"):
            await deployed.store("t", b"v", partition=99)
        with pytest.raises(AssertionError, match=r"t\[0\]: .*too large"):
            await deployed.store("t", bytes(70 * 1024 * 1024))


@pytest.mark.asyncio
async def test_a_broker_that_is_away_fails_the_test_in_time(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker), seconds=0.5) as deployed:
        broker.broker_down()
        with pytest.raises(AssertionError, match=r"did not take the record for t\[0\]"):
            await asyncio.wait_for(deployed.store("t", b"v"), 10)


@pytest.mark.asyncio
async def test_the_loop_runs_on_while_a_record_is_stored(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker)) as deployed:
        broker.delay_answers(200)
        storing = asyncio.create_task(deployed.store("t", b"v"))
        turns = 0
        while not storing.done():
            await asyncio.sleep(0.01)
            turns += 1
        await storing

    assert turns > 5


class NeverReady(Nothing):
    """Be a service whose group gives it nothing."""

    async def ready(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_a_service_that_gets_no_partitions_is_told_with_what_to_try(broker: EmbeddedBroker) -> None:
    with pytest.raises(TimeoutError, match=rf"no partitions from {broker.bootstrap_servers} after 0\.1 s.*`seconds`"):
        async with Deployed(NeverReady(broker), seconds=0.1):
            pytest.fail("it cannot be ready")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "last"), [(200, "that all is well"), (503, "{'status': 'DOWN'}")], ids=["all well", "something else"]
)
async def test_a_probe_that_does_not_say_what_is_waited_for_is_told(
    broker: EmbeddedBroker, status: int, last: str
) -> None:
    async def answer(_: Request) -> JSONResponse:
        return JSONResponse({"status": "DOWN"}, status)

    server = ThreadedServer(Starlette(routes=[Route("/actuator/health/readiness", answer)]))
    await server.start()
    try:
        async with Deployed(Nothing(broker, server.url), seconds=0.3) as deployed:
            with pytest.raises(TimeoutError, match=f"{server.url} did not say 'the registry' was missing.*{last}"):
                await deployed.unready("the registry")
    finally:
        await server.stop()


class Secured(Nothing):
    """Be a service with settings."""

    def __init__(self, broker: EmbeddedBroker, **given: object) -> None:
        super().__init__(broker)
        self.settings = ServiceSettings(kafka_bootstrap_servers=broker.bootstrap_servers, **given)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_the_client_asks_the_registry_as_the_settings_say(broker: EmbeddedBroker) -> None:
    subjects: list[str] = []
    with registry_server(authorization="Basic bWU6cA==", subjects=subjects) as url:
        service = Secured(
            broker,
            schema_registry_url=url,
            schema_registry_username="me",
            schema_registry_password="p",
            schema_registry_subject_naming="TopicName",
        )
        service.registry_url = url
        async with Deployed(service) as deployed:
            deployed.client.send_avro("t", {"sku": "A"}, SCHEMA)

    assert subjects == ["t-value"]


@pytest.mark.asyncio
async def test_client_and_producer_show_the_credentials_of_the_settings(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Mapping[str, object]] = []

    def connect(settings: Mapping[str, object], **_: object) -> NoReturn:
        chosen.append(settings)
        raise KafkaException(KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED))

    monkeypatch.setattr(outside_client, "Producer", connect)
    monkeypatch.setattr(deployment, "Producer", connect)
    service = Secured(
        broker,
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="u",
        kafka_sasl_password="p",
    )
    async with Deployed(service) as deployed:
        with pytest.raises(KafkaException):
            deployed.client.send_raw("t", b"v")
        with pytest.raises(KafkaException):
            await deployed.store("t", b"v")

    assert [(each["sasl.username"], each["sasl.password"]) for each in chosen] == [("u", "p"), ("u", "p")]


@pytest.mark.asyncio
async def test_a_deployment_waits_as_long_as_it_is_told(broker: EmbeddedBroker, deploy: Deploy) -> None:
    deployed = await deploy(Nothing(broker), seconds=0.2)

    with pytest.raises(AssertionError, match=r"after 0\.2 s"):
        await deployed.records("t", 1)


@pytest.mark.asyncio
async def test_the_loop_runs_on_while_outcomes_are_waited_for(broker: EmbeddedBroker) -> None:
    async with Deployed(Nothing(broker)) as deployed:
        sent = deployed.client.send_json("t", {}, type_name="t.Do")
        waiting = asyncio.create_task(deployed.outcomes([sent], ["t"]))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await deployed.store("t", b"{}", (("ce_causationid", sent.id.encode()),))

        (outcome,) = await waiting

    assert (outcome.message_id, len(outcome.events)) == (sent.id, 1)
