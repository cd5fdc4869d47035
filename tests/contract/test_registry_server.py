"""On a real schema registry: schemas are registered and checked, and the service reads and writes through it."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.avro.registry_login import RegistryLogin
from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.schemas import IncompatibleSchemaException, InvalidSchemaException
from cqrs.testing.registry_server import RegistryServer
from service.bootstrap import order_service
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import deployed, settings_in

pytestmark = [pytest.mark.registry, pytest.mark.asyncio]

SUBJECTS = 6


def order(*fields: dict[str, object]) -> str:
    return json.dumps({"type": "record", "name": "t.Placed", "fields": [{"name": "id", "type": "string"}, *fields]})


def put_config(url: str, level: str) -> None:
    body = json.dumps({"compatibility": level}).encode()
    request = Request(f"{url}/config", body, {"Content-Type": "application/json"}, method="PUT")  # noqa: S310
    with urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
        assert answer.status == 200


async def schemas(url: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run `python -m service schemas`, as an operator does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "schemas", *arguments),
        env={**os.environ, "SCHEMA_REGISTRY_URL": url, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_what_our_client_says_of_it_is_true(registry_server: RegistryServer) -> None:
    registry, subject = ConfluentSchemaRegistry(registry_server.url), f"s-{uuid4().hex}"
    text, grown = order(), order({"name": "note", "type": "string"})
    try:
        await registry.check()
        assert await registry.find(subject, text) is None
        assert await registry.refusal(subject, text) is None
        schema_id = await registry.register(subject, text)
        assert await registry.register(subject, text) == schema_id
        assert await registry.find(subject, text) == (schema_id, 1)
        assert json.loads(await registry.schema_by_id(schema_id) or "") == json.loads(text)

        put_config(registry_server.url, "BACKWARD")
        assert await registry.compatibility(subject) == "BACKWARD"
        assert "not compatible" in str(await registry.refusal(subject, grown))
        with pytest.raises(IncompatibleSchemaException):
            await registry.register(subject, grown)
        with pytest.raises(InvalidSchemaException):
            await registry.register(subject, '{"type": "strange"}')
        assert list(await registry.versions(subject)) == [1]
    finally:
        put_config(registry_server.url, "NONE")
        await registry.close()


async def test_register_and_check_are_what_a_job_needs(registry_server: RegistryServer) -> None:
    code, said = await schemas(registry_server.url, "check", "--json")
    assert code == 1
    assert {each["problem"] for each in json.loads(said)} == {"is not registered yet, and may be"}

    together = await asyncio.gather(*(schemas(registry_server.url, "register", "--json") for _ in range(2)))
    assert [code for code, _ in together] == [0, 0]
    first, second = (json.loads(said) for _, said in together)
    assert [(each["subject"], each["id"]) for each in first] == [(each["subject"], each["id"]) for each in second]
    assert len(first) == SUBJECTS

    code, said = await schemas(registry_server.url, "check")
    assert code == 0
    assert f"{EVENTS}-orders.OrderCreated" in said
    assert "NONE" in said


async def test_a_schema_that_does_not_fit_is_told_and_the_others_are_registered(
    registry_server: RegistryServer,
) -> None:
    naming = {"SCHEMA_REGISTRY_SUBJECT_NAMING": "RecordName"}
    registry = ConfluentSchemaRegistry(registry_server.url)
    other = json.loads(order())
    other["name"] = "orders.OrderCreated"
    await registry.register("orders.OrderCreated", json.dumps(other))
    await registry.close()
    put_config(registry_server.url, "BACKWARD")
    try:
        code, said = await schemas(registry_server.url, "register", "--json", **naming)
    finally:
        put_config(registry_server.url, "NONE")

    found = {each["subject"]: each for each in json.loads(said)}
    assert code == 1
    assert found.pop("orders.OrderCreated")["problem"]
    assert all(each["id"] and not each["problem"] for each in found.values())


async def test_one_schema_a_topic_is_too_few_and_that_is_said(registry_server: RegistryServer) -> None:
    code, said = await schemas(registry_server.url, "check", SCHEMA_REGISTRY_SUBJECT_NAMING="TopicName")

    assert code == 2
    assert "TopicRecordName gives each record its own" in said


async def test_the_service_reads_and_writes_through_it_and_an_outage_is_a_pause(
    tmp_path: Path, registry_server: RegistryServer
) -> None:
    url = registry_server.url
    settings = settings_in(tmp_path, schema_registry_url=url, schema_registry_timeout_seconds=1, retry_max_attempts=1)
    async with deployed(order_service(settings)) as found:
        item = {"sku": "A", "quantity": 1, "unit_price": "9.99"}
        data = {"order_id": "o-1", "customer_id": "c", "items": [item], "currency": "EUR"}
        schema = (settings.schemas_path / "commands" / "orders.CreateOrder.avsc").read_text("utf-8")
        found.client.send_avro(COMMANDS, data, schema, key="o-1")
        await found.events(1)

        other = json.loads(schema)
        other["doc"] = f"a sender's own {uuid4().hex}"  # a writer's schema that the service has not met
        unmet = found.client.encode_avro(COMMANDS, {**data, "order_id": "o-2"}, json.dumps(other))
        registry_server.freeze()
        try:
            await found.produce(unmet, key=b"o-2")
            found.create("o-3")
            assert len(await found.events(2)) == 2, "what needs no answer of the registry goes on"
            await found.unready("schema registry")
        finally:
            registry_server.thaw()
        events = await found.events(3)
        with found.client.reader([f"{COMMANDS}-dlt"]) as reader:
            assert list(reader.poll()) == []

    assert sorted(event.message.key or b"" for event in events) == [b"o-1", b"o-2", b"o-3"]


@pytest.fixture(scope="module")
def guarded_server(registry_app: Path) -> Iterator[RegistryServer]:
    with RegistryServer(registry_app, user="me", password="hunter2") as server:
        yield server


async def test_basic_authentication(guarded_server: RegistryServer) -> None:
    known = {"SCHEMA_REGISTRY_USERNAME": "me", "SCHEMA_REGISTRY_PASSWORD": "hunter2"}
    code, _ = await schemas(guarded_server.url, "register", **known)
    assert code == 0

    code, said = await schemas(guarded_server.url, "check", **known | {"SCHEMA_REGISTRY_PASSWORD": "hunter3"})
    assert code == 2
    assert "answered 401" in said
    assert "hunter" not in said

    stranger = ConfluentSchemaRegistry(guarded_server.url, login=RegistryLogin())
    with pytest.raises(DependencyUnavailableException, match="401"):
        await stranger.check()
    await stranger.close()
