import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.exceptions import ConfigurationException, CqrsException, DependencyUnavailableException
from cqrs.messaging.schemas import IncompatibleSchemaException, InvalidSchemaException

A = '{"type": "record", "name": "A", "fields": []}'
Call = Callable[[ConfluentSchemaRegistry], Awaitable[object]]

CALLS: dict[str, Call] = {
    "register": lambda registry: registry.register("s", A),
    "schema_by_id": lambda registry: registry.schema_by_id(1),
    "schema_by_guid": lambda registry: registry.schema_by_guid("0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11"),
    "subjects": lambda registry: registry.subjects(),
    "versions": lambda registry: registry.versions("s"),
    "schema_by_version": lambda registry: registry.schema_by_version("s", None),
}


@asynccontextmanager
async def answering(
    answer: bytes | None, arrived: asyncio.Event | None = None
) -> AsyncIterator[ConfluentSchemaRegistry]:
    """Serve one raw HTTP answer for every request, or none at all."""
    open_connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if arrived is not None:
            arrived.set()
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    registry = ConfluentSchemaRegistry(f"http://127.0.0.1:{port}", timeout_seconds=5 if answer else 0.2)
    try:
        yield registry
    finally:
        await registry.close()
        for writer in open_connections:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        server.close()
        await server.wait_closed()


def http(status: int, body: str) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


@pytest.mark.asyncio
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_every_call_waits_out_a_refusal(call: Call) -> None:
    async with answering(http(401, '{"error_code": 401, "message": "Unauthorized"}')) as registry:
        with pytest.raises(DependencyUnavailableException, match="answered 401: Unauthorized"):
            await call(registry)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        http(500, '{"error_code": 50001, "message": "store"}'),
        http(503, "<html>"),
        http(403, '{"error_code": 40301, "message": "Forbidden"}'),
        http(200, "<html>a proxy's page</html>"),
        b"not http\r\n\r\n",
    ],
    ids=["500", "503", "403", "html", "garbage"],
)
async def test_whatever_is_no_answer_is_waited_out(answer: bytes) -> None:
    async with answering(answer) as registry:
        with pytest.raises(DependencyUnavailableException, match="schema registry is unavailable"):
            await registry.subjects()


@pytest.mark.asyncio
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_silent_server_is_given_up_in_time(call: Call) -> None:
    async with answering(None) as registry:
        with pytest.raises(DependencyUnavailableException):
            async with asyncio.timeout(5):
                await call(registry)


@pytest.mark.asyncio
async def test_nobody_there_is_waited_out() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    registry = ConfluentSchemaRegistry(f"http://127.0.0.1:{port}")

    with pytest.raises(DependencyUnavailableException, match=r"127.0.0.1"):
        await registry.subjects()
    await registry.close()
    await registry.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "nothing"),
    [("schema_by_id", None), ("schema_by_guid", None), ("versions", []), ("schema_by_version", None)],
)
async def test_what_is_absent_is_none(name: str, nothing: object) -> None:
    async with answering(http(404, '{"error_code": 40403, "message": "not found"}')) as registry:
        assert await CALLS[name](registry) == nothing


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(409, 409, IncompatibleSchemaException), (422, 42201, InvalidSchemaException)],
)
async def test_a_refused_schema_is_a_wiring_error(status: int, code: int, expected: type[CqrsException]) -> None:
    async with answering(http(status, f'{{"error_code": {code}, "message": "because"}}')) as registry:
        with pytest.raises(expected, match="s: because"):
            await registry.register("s", A)


@pytest.mark.asyncio
async def test_cancelling_a_call_is_not_swallowed() -> None:
    arrived = asyncio.Event()
    async with answering(None, arrived) as registry:
        call = asyncio.create_task(registry.subjects())
        await arrived.wait()
        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.parametrize("url", ["", "localhost:8081", "ftp://x"])
def test_a_wrong_address_is_a_wiring_error(url: str) -> None:
    with pytest.raises(ConfigurationException, match="SCHEMA_REGISTRY_URL"):
        ConfluentSchemaRegistry(url)


@pytest.mark.asyncio
async def test_a_password_in_the_address_is_not_told() -> None:
    registry = ConfluentSchemaRegistry("http://user:secret@127.0.0.1:1", timeout_seconds=1)

    with pytest.raises(DependencyUnavailableException) as raised:
        await registry.subjects()
    await registry.close()

    assert "secret" not in str(raised.value)
