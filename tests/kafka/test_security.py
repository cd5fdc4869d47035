"""A secured cluster lets in who brings what it asks for, and says clearly what is wrong with who does not."""

import asyncio
import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.clients import new_consumer, new_producer
from cqrs.messaging.message import OutgoingMessage
from cqrs.testing.secured_kafka import SecuredKafka
from tests.kafka.conftest import ORDERS, PASSWORD

SECONDS = 60.0
TOPIC = "guarded"


@pytest.fixture(scope="module")
def secured(secured_kafka: SecuredKafka) -> SecuredKafka:
    admin = AdminClient({"bootstrap.servers": secured_kafka.server.bootstrap_servers})
    topics = [TOPIC, "orders.commands", "orders.commands-dlt", "orders.events"]
    for created in admin.create_topics([NewTopic(each, num_partitions=3) for each in topics]).values():
        created.result(SECONDS)
    return secured_kafka


def token(folder: Path, *, lives: float = 3600.0) -> Path:
    """Write a token as Kafka's handlers for tests take it: a JWT without a signature."""
    now = time.time()
    claims = {"sub": ORDERS, "iat": now, "exp": now + lives}
    parts = [urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({"alg": "none"}, claims)]
    path = folder / "token"
    path.write_text(".".join([*parts, ""]), "utf-8")
    return path


def ways(secured: SecuredKafka, folder: Path) -> Mapping[str, dict[str, object]]:
    """Return the settings of each way in."""
    trusting = {"kafka_ssl_cafile": secured.authority.certificate}
    known = {"kafka_sasl_username": ORDERS, "kafka_sasl_password": PASSWORD}
    return {
        "TLS": {"listener": "TLS", "kafka_security_protocol": "SSL", **trusting},
        "mTLS": {
            "listener": "MUTUAL",
            "kafka_security_protocol": "SSL",
            "kafka_ssl_certfile": secured.client.certificate,
            "kafka_ssl_keyfile": secured.client.key,
            **trusting,
        },
        "PLAIN": {
            "listener": "PLAINSASL",
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            **known,
        },
        **{
            mechanism: {
                "listener": "SCRAM",
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": mechanism,
                **known,
                **trusting,
            }
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        },
        "OAUTHBEARER": {
            "listener": "TOKENS",
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "OAUTHBEARER",
            "kafka_sasl_oauth_token_file": token(folder),
            **trusting,
        },
    }


def settings_of(secured: SecuredKafka, way: dict[str, object], **changed: object) -> ServiceSettings:
    given = way | {"kafka_request_timeout_ms": 10_000, "kafka_session_timeout_ms": 6_000} | changed
    listener = str(given.pop("listener"))
    return ServiceSettings.model_validate(given | {"kafka_bootstrap_servers": secured.address(listener)})


class Member:
    """Listen to nothing."""

    async def on_assigned(self, committed: object) -> None: ...
    async def on_revoked(self, partitions: object) -> None: ...


@pytest.mark.parametrize("name", ["TLS", "mTLS", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
@pytest.mark.asyncio
async def test_who_brings_what_is_asked_for_writes_and_reads(secured: SecuredKafka, tmp_path: Path, name: str) -> None:
    settings = settings_of(secured, ways(secured, tmp_path)[name])
    servers = str(settings.kafka_bootstrap_servers)
    producer, consumer = new_producer(settings, servers), new_consumer(settings, servers, [TOPIC], f"readers by {name}")
    try:
        await producer.send(OutgoingMessage(TOPIC, name.encode(), name.encode()))
        await consumer.start(Member())
        async with asyncio.timeout(SECONDS):
            seen: list[bytes | None] = []
            while name.encode() not in seen:
                seen += [message.value for message in await consumer.poll(0.5)]
    finally:
        await consumer.stop()
        await producer.stop()


WRONG: Mapping[str, tuple[str, dict[str, object]]] = {
    "password": ("SCRAM-SHA-512", {"kafka_sasl_password": "wrong"}),
    "user": ("SCRAM-SHA-256", {"kafka_sasl_username": "nobody"}),
    "plain password": ("PLAIN", {"kafka_sasl_password": "wrong"}),
    "authority": ("TLS", {"kafka_ssl_cafile": None}),
    "protocol": ("TLS", {"kafka_security_protocol": "PLAINTEXT", "kafka_ssl_cafile": None}),
    "no certificate": ("mTLS", {"kafka_ssl_certfile": None, "kafka_ssl_keyfile": None}),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.asyncio
async def test_who_brings_something_else_is_told_within_the_deadline(
    secured: SecuredKafka, tmp_path: Path, what: str
) -> None:
    name, wrong = WRONG[what]
    settings = settings_of(secured, ways(secured, tmp_path)[name], **wrong)
    producer = new_producer(settings, str(settings.kafka_bootstrap_servers))
    begun = time.monotonic()
    with pytest.raises(DependencyUnavailableException) as refused:
        await producer.start()
    assert time.monotonic() - begun < 15.0
    assert "kafka is unavailable: connecting to localhost" in str(refused.value)
    await producer.stop()


@pytest.mark.asyncio
async def test_a_strangers_certificate_is_refused(secured: SecuredKafka, tmp_path: Path) -> None:
    stranger = {"kafka_ssl_certfile": secured.stranger.certificate, "kafka_ssl_keyfile": secured.stranger.key}
    settings = settings_of(secured, ways(secured, tmp_path)["mTLS"], **stranger)
    producer = new_producer(settings, str(settings.kafka_bootstrap_servers))
    with pytest.raises(DependencyUnavailableException):
        await producer.start()
    await producer.stop()


@pytest.mark.asyncio
async def test_the_whole_service_and_its_command_line_work_over_sasl_ssl(secured: SecuredKafka, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": secured.address("SCRAM"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": ORDERS,
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CAFILE": str(secured.authority.certificate),
        "STATE_PATH": str(tmp_path),
        "MANAGEMENT_PORT": "0",
        "KAFKA_SESSION_TIMEOUT_MS": "6000",
    }

    async def command(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service",
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    service = await command("run")
    assert service.stdout is not None
    async with asyncio.timeout(SECONDS):
        while b"ready" not in (line := await service.stdout.readline()):
            assert line, "the service ended before it was ready"
    order = {"order_id": "o-1", "customer_id": "c", "currency": "EUR"}
    items = [{"sku": "A", "quantity": 1, "unit_price": "1.00"}]
    send = await command("send", "orders.CreateOrder", json.dumps({**order, "items": items}))
    said, _ = await asyncio.wait_for(send.communicate(), SECONDS)
    topics = await command("topics", "check")
    checked, _ = await asyncio.wait_for(topics.communicate(), SECONDS)
    service.terminate()
    await asyncio.wait_for(service.communicate(), SECONDS)

    assert send.returncode == 0, said.decode()
    assert b"OrderCreated" in said
    assert b"keeps records for" in checked or topics.returncode == 0, checked.decode()
    assert service.returncode == 0
