from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from cqrs.exceptions import DependencyUnavailableException
from cqrs.http.schema_registry import schema_registry_app
from cqrs.messaging.schemas import (
    IncompatibleSchemaException,
    InvalidSchemaException,
    SchemaRegistry,
    schema_guid,
)

A, B = '{"type": "int"}', '{"type": "long"}'


class Memory:
    """A registry of two schemas under a subject with a slash."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def register(self, subject: str, schema: str) -> int:
        if self.error is not None:
            raise self.error
        return [A, B].index(schema) + 1

    async def schema_by_id(self, schema_id: int) -> str | None:
        if self.error is not None:
            raise self.error
        return {1: A, 2: B}.get(schema_id)

    async def schema_by_guid(self, guid: str) -> str | None:
        return {schema_guid(A): A}.get(guid)

    async def subjects(self) -> list[str]:
        return ["team/orders-value", "x"]

    async def versions(self, subject: str) -> list[int]:
        return {"team/orders-value": [1, 2], "x": [1]}.get(subject, [])

    async def schema_by_version(self, subject: str, version: int | None) -> tuple[int, int, str] | None:
        known = {"team/orders-value": [A, B], "x": [B]}[subject]
        number = version or len(known)
        if number > len(known):
            return None
        text = known[number - 1]
        return [A, B].index(text) + 1, number, text


@pytest.fixture
def registry() -> Memory:
    return Memory()


@pytest_asyncio.fixture
async def client(registry: SchemaRegistry) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(schema_registry_app(registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        yield client


SUBJECT = "/subjects/team%2Forders-value"
FIRST = {"subject": "team/orders-value", "version": 1, "id": 1, "guid": schema_guid(A), "schema": A}
SECOND = {"subject": "team/orders-value", "version": 2, "id": 2, "guid": schema_guid(B), "schema": B}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", {}),
        ("/schemas/types", ["AVRO"]),
        ("/schemas/ids/1", {"schema": A, "guid": schema_guid(A)}),
        ("/schemas/ids/1/schema", {"type": "int"}),
        ("/schemas/ids/2/versions", [{"subject": "team/orders-value", "version": 2}, {"subject": "x", "version": 1}]),
        ("/schemas/ids/2/subjects", ["team/orders-value", "x"]),
        (f"/schemas/guids/{schema_guid(A)}", {"schema": A, "guid": schema_guid(A)}),
        ("/subjects", ["team/orders-value", "x"]),
        ("/subjects?subjectPrefix=team", ["team/orders-value"]),
        (f"{SUBJECT}/versions", [1, 2]),
        (f"{SUBJECT}/versions/1", FIRST),
        (f"{SUBJECT}/versions/latest", SECOND),
        (f"{SUBJECT}/versions/2/schema", {"type": "long"}),
        ("/config", {"compatibilityLevel": "BACKWARD"}),
        (f"/config{SUBJECT[9:]}?defaultToGlobal=true", {"compatibilityLevel": "BACKWARD"}),
        ("/mode", {"mode": "READWRITE"}),
    ],
)
async def test_what_is_known_is_told(client: httpx.AsyncClient, path: str, answer: object) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()) == (200, answer)
    assert response.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/schemas/ids/3", 404, 40403),
        ("/schemas/ids/x", 404, 40403),
        ("/schemas/ids/99999999999999999999", 404, 40403),
        ("/schemas/ids/3/versions", 404, 40403),
        ("/schemas/guids/nope", 404, 40403),
        ("/subjects/absent/versions", 404, 40401),
        ("/subjects/absent/versions/1", 404, 40401),
        ("/subjects/x/versions/2", 404, 40402),
        ("/subjects/x/versions/0", 422, 42202),
        ("/subjects/x/versions/-1", 422, 42202),
        ("/subjects/x/versions/newest", 422, 42202),
        ("/config/x", 404, 40408),
    ],
)
async def test_what_is_absent_is_told_as_confluent_does(
    client: httpx.AsyncClient, path: str, status: int, code: int
) -> None:
    response = await client.get(path)

    assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert response.json()["message"]


@pytest.mark.asyncio
async def test_a_schema_is_registered_and_looked_up(client: httpx.AsyncClient) -> None:
    registered = await client.post(f"{SUBJECT}/versions", json={"schema": A, "schemaType": "AVRO"})
    found = await client.post(SUBJECT, json={"schema": ' {"type":"int"} '})
    absent = await client.post("/subjects/x", json={"schema": A})

    assert registered.json() == {"id": 1, "guid": schema_guid(A)}
    assert found.json() == FIRST
    assert (absent.status_code, absent.json()["error_code"]) == (404, 40403)
    assert (await client.post("/subjects/absent", json={"schema": A})).json()["error_code"] == 40401


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b'{"schema": 5}',
        b'{"schema": "{"}',
        b"[" * 100_000,
        b'{"schema": "\\"int\\"", "schemaType": "PROTOBUF"}',
        b'{"schema": "\\"int\\"", "references": [{"name": "x"}]}',
    ],
)
async def test_a_body_without_a_schema_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post("/subjects/x/versions", content=content)

    assert (response.status_code, response.json()["error_code"]) == (422, 42201)


@pytest.mark.asyncio
async def test_a_body_without_end_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/subjects/x/versions", content=b" " * 2_000_000)

    assert response.status_code == 413


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (IncompatibleSchemaException(["no"]), 409, 409),
        (InvalidSchemaException(["no"]), 422, 42201),
        (DependencyUnavailableException("disk", "full"), 503, 50001),
    ],
)
async def test_what_the_registry_raises_is_told(
    client: httpx.AsyncClient, registry: Memory, error: Exception, status: int, code: int
) -> None:
    registry.error = error

    response = await client.post("/subjects/x/versions", json={"schema": A})

    assert (response.status_code, response.json()["error_code"]) == (status, code)
