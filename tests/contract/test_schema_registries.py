"""Every schema registry keeps one contract: ours in a folder, ours over HTTP by Confluent's client."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.exceptions import ConfigurationException
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.messaging.schemas import (
    IncompatibleSchemaException,
    InvalidSchemaException,
    SchemaRegistry,
    schema_guid,
)


@pytest_asyncio.fixture(params=["memory", "file", "confluent client on our server"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SchemaRegistry]:
    if request.param != "confluent client on our server":
        yield FileSchemaRegistry(tmp_path if request.param == "file" else None)
        return
    server = ThreadedServer(schema_registry_app(FileSchemaRegistry(tmp_path)))
    await server.start()
    client = ConfluentSchemaRegistry(server.url)
    yield client
    await client.close()
    await server.stop()


def order(*fields: str, name: str = "orders.Created", **more: object) -> str:
    described = [{"name": field, "type": "string"} for field in fields]
    return json.dumps({"type": "record", "name": name, "fields": described, **more})


def grown(**default: object) -> str:
    fields = [{"name": "id", "type": "string"}, {"name": "note", "type": "string", **default}]
    return json.dumps({"type": "record", "name": "orders.Created", "fields": fields})


@pytest.mark.asyncio
async def test_a_registered_schema_is_found_in_every_way(registry: SchemaRegistry) -> None:
    text = order("id")

    schema_id = await registry.register("orders.events-orders.Created", text)

    found = await registry.schema_by_id(schema_id)
    assert found is not None
    assert json.loads(found) == json.loads(text)
    assert await registry.schema_by_guid(schema_guid(text)) == found
    assert list(await registry.subjects()) == ["orders.events-orders.Created"]
    assert list(await registry.versions("orders.events-orders.Created")) == [1]
    assert await registry.schema_by_version("orders.events-orders.Created", None) == (schema_id, 1, found)
    assert await registry.schema_by_version("orders.events-orders.Created", 1) == (schema_id, 1, found)


@pytest.mark.asyncio
async def test_what_is_unknown_is_absent(registry: SchemaRegistry) -> None:
    await registry.register("known", order("id"))

    assert await registry.schema_by_id(4711) is None
    assert await registry.schema_by_guid("0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11") is None
    assert list(await registry.versions("unknown")) == []
    assert await registry.schema_by_version("unknown", None) is None
    assert await registry.schema_by_version("known", 2) is None


@pytest.mark.asyncio
async def test_an_equal_schema_keeps_its_id_and_version(registry: SchemaRegistry) -> None:
    first = await registry.register("a", order("id"))

    assert await registry.register("a", order("id")) == first
    assert await registry.register("a", json.dumps(json.loads(order("id")), indent=4, sort_keys=True)) == first
    assert await registry.register("b", order("id")) == first
    assert list(await registry.versions("a")) == [1]
    assert await registry.register("c", order("other")) != first


@pytest.mark.asyncio
async def test_a_compatible_schema_is_the_next_version(registry: SchemaRegistry) -> None:
    first = await registry.register("a", order("id"))

    second = await registry.register("a", grown(default=""))

    latest = await registry.schema_by_version("a", None)
    assert latest is not None
    assert latest[:2] == (second, 2)
    assert list(await registry.versions("a")) == [1, 2]
    assert await registry.register("a", order("id")) == first
    assert list(await registry.versions("a")) == [1, 2]


@pytest.mark.asyncio
async def test_an_incompatible_schema_is_refused_with_the_reason(registry: SchemaRegistry) -> None:
    await registry.register("a", order("id"))

    with pytest.raises(IncompatibleSchemaException, match="note: is not written"):
        await registry.register("a", grown())

    assert list(await registry.versions("a")) == [1]


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ['{"type": "strange"}', '{"type": "record", "fields": []}', '"Missing"'])
async def test_what_is_no_schema_is_refused(registry: SchemaRegistry, text: str) -> None:
    with pytest.raises(InvalidSchemaException) as raised:
        await registry.register("a", text)

    assert isinstance(raised.value, ConfigurationException)
    assert list(await registry.subjects()) == []


@pytest.mark.asyncio
async def test_a_subject_may_have_any_name(registry: SchemaRegistry) -> None:
    for subject in ("a/b c", "ümlaut", "a%2Fb", "versions", "x/versions/1"):
        schema_id = await registry.register(subject, order("id"))
        found = await registry.schema_by_version(subject, None)
        assert found is not None
        assert found[:2] == (schema_id, 1)
        assert list(await registry.versions(subject)) == [1]
