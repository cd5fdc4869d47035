"""The registry is told who this client is in each of the ways that there are; a wrong one pauses and loses nothing."""

import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.opening import open_registry
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.http.schema_registry import schema_registry_app
from cqrs.testing.certificates import CertificateAuthority

SCHEMA = '{"type": "record", "name": "t.Done", "fields": []}'
App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


def guarded(app: App, wanted: Callable[[], str]) -> App:
    """Let in only who sends the header `Authorization` that is wanted."""

    async def guard(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
        if scope["type"] == "http" and given != wanted():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b'{"error_code": 401, "message": "Unauthorized"}'})
            return
        await app(scope, receive, send)

    return guard


@contextmanager
def served(app: App, **options: Any) -> Iterator[int]:
    """Serve an application, with the options of uvicorn, and yield its port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(1000):
        if server.started:
            break
        threading.Event().wait(0.01)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(10)


def settings(port: int, *, scheme: str = "http", **chosen: Any) -> ServiceSettings:
    url = f"{scheme}://127.0.0.1:{port}"
    return ServiceSettings.model_validate({"schema_registry_url": url, "schema_registry_timeout_seconds": 5, **chosen})


async def registered(given: ServiceSettings) -> int:
    registry = open_registry(given, str(given.schema_registry_url))
    try:
        await registry.check()
        return await registry.register("t-t.Done", SCHEMA)
    finally:
        await registry.close()


@pytest.fixture
def app() -> App:
    return schema_registry_app(FileSchemaRegistry())


@pytest.mark.asyncio
async def test_basic(app: App) -> None:
    basic = "Basic bWU6aHVudGVyMjo6"  # me:hunter2::
    with served(guarded(app, lambda: basic)) as port:
        known = settings(port, schema_registry_username="me", schema_registry_password="hunter2::")
        assert await registered(known) == 1
        for wrong in ({}, {"schema_registry_username": "me", "schema_registry_password": "guess"}):
            with pytest.raises(DependencyUnavailableException, match="answered 401"):
                await registered(settings(port, **wrong))


@pytest.mark.asyncio
async def test_a_bearer_token_and_one_in_a_file_that_is_renewed(app: App, tmp_path: Path) -> None:
    token, file = "first", tmp_path / "token"
    with served(guarded(app, lambda: f"Bearer {token}")) as port:
        assert await registered(settings(port, schema_registry_token="first")) == 1
        file.write_text("first\n")
        given = settings(port, schema_registry_token_file=file)
        registry = open_registry(given, str(given.schema_registry_url))
        await registry.check()
        token = "second"
        with pytest.raises(DependencyUnavailableException, match="answered 401") as refused:
            await registry.check()
        file.write_text("second\n")
        await registry.check()
        file.unlink()
        with pytest.raises(DependencyUnavailableException, match=r"SCHEMA_REGISTRY_TOKEN_FILE: .* cannot be read"):
            await registry.check()
        await registry.close()
    assert "first" not in str(refused.value)


@pytest.mark.asyncio
async def test_mutual_tls(app: App, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    server, client = authority.sign("server", "127.0.0.1"), authority.sign("client", key_password="s3cret")
    options = {
        "ssl_certfile": server.certificate,
        "ssl_keyfile": server.key,
        "ssl_ca_certs": str(authority.certificate),
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
    }
    trusted = {"schema_registry_ssl_cafile": authority.certificate}
    own = {
        "schema_registry_ssl_certfile": client.certificate,
        "schema_registry_ssl_keyfile": client.key,
        "schema_registry_ssl_key_password": "s3cret",
    }
    with served(app, **options) as port:
        assert await registered(settings(port, scheme="https", **trusted, **own)) == 1
        for lacking in (trusted, own):
            with pytest.raises(DependencyUnavailableException):
                await registered(settings(port, scheme="https", **lacking))


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"schema_registry_username": "me"}, "go together"),
        ({"schema_registry_token": "t", "schema_registry_token_file": "pyproject.toml"}, "choose one of"),
        ({"schema_registry_url": "http://me:hunter2@r", "schema_registry_token": "t"}, "choose one of"),
        ({"schema_registry_url": None, "schema_registry_token": "t"}, "SCHEMA_REGISTRY_URL is not set"),
        ({"schema_registry_token_file": "nowhere"}, "SCHEMA_REGISTRY_TOKEN_FILE: nowhere cannot be read"),
        ({"schema_registry_ssl_certfile": "pyproject.toml"}, "SCHEMA_REGISTRY_SSL_CERTFILE and SCHEMA"),
        ({"schema_registry_ssl_cafile": "pyproject.toml"}, "of use with an https URL"),
        ({"schema_registry_ssl_cafile": "nowhere"}, "SCHEMA_REGISTRY_SSL_CAFILE: nowhere cannot be read"),
        ({"schema_registry_ssl_key_password": "p"}, "needs SCHEMA_REGISTRY_SSL_KEYFILE"),
        ({"schema_registry_url": "registry:8081"}, "SCHEMA_REGISTRY_URL"),
    ],
)
def test_what_contradicts_itself_is_said_at_start(chosen: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationException, match=problem) as refused:
        settings(1, **chosen)
    assert "hunter2" not in str(refused.value)


def test_a_password_over_plain_http_is_a_weakness() -> None:
    weak = settings(1, schema_registry_username="me", schema_registry_password="p")
    assert [*weak.registry_weaknesses()] == [
        "SCHEMA_REGISTRY_URL is http: the password or token crosses the network unencrypted"
    ]
    assert not [*settings(1).registry_weaknesses()]
    strong = settings(1, scheme="https", schema_registry_username="me", schema_registry_password="p")
    assert not [*strong.registry_weaknesses()]
