"""A secured cluster's settings become the clients' options, and what is wrong with a file is said at start."""

import asyncio
import json
import logging
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest
from aiokafka.errors import KafkaConnectionError

from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.kafka.oauth import ClientCredentials, EndpointTokens, FileTokens
from cqrs.kafka.security import security_options
from cqrs.testing.certificates import CertificateAuthority, Identity
from cqrs.testing.outside_security import outside_options

SCRAM = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "u",
    "kafka_sasl_password": "p",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: CertificateAuthority) -> Identity:
    return authority.sign("client")


def made(**given: object) -> ServiceSettings:
    return ServiceSettings.model_validate({"kafka_bootstrap_servers": "k:9092", **given})


def test_a_plain_cluster_needs_none() -> None:
    assert security_options(made()) == {}
    assert outside_options(made()) == {}


def test_tls_trusts_the_given_authority_and_checks_the_host_name(authority: CertificateAuthority) -> None:
    options = security_options(made(kafka_security_protocol="SSL", kafka_ssl_cafile=authority.certificate))
    context = options["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert options["security_protocol"] == "SSL"


def test_only_an_explicit_word_leaves_the_host_name_unchecked(authority: CertificateAuthority) -> None:
    settings = made(
        kafka_security_protocol="SSL", kafka_ssl_cafile=authority.certificate, kafka_ssl_check_hostname=False
    )
    context = security_options(settings)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert outside_options(settings)["ssl.endpoint.identification.algorithm"] == "none"


def test_a_client_certificate_is_loaded(authority: CertificateAuthority, client: Identity) -> None:
    settings = made(
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=authority.certificate,
        kafka_ssl_certfile=client.certificate,
        kafka_ssl_keyfile=client.key,
    )
    assert "ssl_context" in security_options(settings)
    assert outside_options(settings)["ssl.key.location"] == str(client.key)


def test_scram_is_given_user_and_password() -> None:
    options = security_options(made(**SCRAM))
    assert (options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]) == (
        "SCRAM-SHA-512",
        "u",
        "p",
    )
    assert outside_options(made(**SCRAM))["sasl.password"] == "p"


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = made(
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=tmp_path / "ca.pem",
        kafka_ssl_certfile=tmp_path / "c.pem",
        kafka_ssl_keyfile=tmp_path,
    )
    with pytest.raises(ConfigurationException) as refused:
        security_options(settings)
    assert len(refused.value.problems) == 3


def test_files_that_hold_something_else_are_refused(tmp_path: Path, authority: CertificateAuthority) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate", "utf-8")
    with pytest.raises(ConfigurationException, match="KAFKA_SSL_CAFILE"):
        security_options(made(kafka_security_protocol="SSL", kafka_ssl_cafile=nonsense))
    with pytest.raises(ConfigurationException, match="KAFKA_SSL_KEY_PASSWORD"):
        security_options(
            made(
                kafka_security_protocol="SSL",
                kafka_ssl_cafile=authority.certificate,
                kafka_ssl_certfile=nonsense,
                kafka_ssl_keyfile=nonsense,
            )
        )


def test_a_password_in_the_clear_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        security_options(made(**SCRAM | {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"}))
    assert "unencrypted" in caplog.text


@pytest.mark.asyncio
async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" first\n", "utf-8")
    tokens = FileTokens(path)
    assert await tokens.token() == "first"
    path.write_text("second", "utf-8")
    assert await tokens.token() == "second"
    path.write_text("", "utf-8")
    with pytest.raises(KafkaConnectionError, match="is empty"):
        await tokens.token()
    path.unlink()
    with pytest.raises(KafkaConnectionError, match="cannot be read"):
        await tokens.token()


class Endpoint(BaseHTTPRequestHandler):
    """Give out numbered tokens, and remember who asked for what."""

    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []
    answer: ClassVar[bytes | None] = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        proof = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        Endpoint.asked.append((proof, parse_qs(body)))
        given = {"access_token": f"token-{len(Endpoint.asked)}", "expires_in": 100}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Endpoint.answer or json.dumps(given).encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def endpoint(answer: bytes | None = None) -> Iterator[str]:
    Endpoint.asked, Endpoint.answer = [], answer
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.asyncio
async def test_a_token_is_asked_for_once_and_again_when_most_of_its_life_is_over() -> None:
    now = [0.0]
    with endpoint() as url:
        tokens = EndpointTokens(ClientCredentials(url, "me:here", "s&cret", "kafka"), lambda: now[0])
        assert await asyncio.gather(*(tokens.token() for _ in range(5))) == ["token-1"] * 5
        now[0] = 79.0
        assert await tokens.token() == "token-1"
        now[0] = 80.0
        assert await tokens.token() == "token-2"

    assert Endpoint.asked[0] == ("me%3Ahere:s%26cret", {"grant_type": ["client_credentials"], "scope": ["kafka"]})


@pytest.mark.parametrize("answer", [b"no JSON", b"{}", b"[1]"])
@pytest.mark.asyncio
async def test_an_endpoint_that_gives_none_is_a_broker_that_cannot_be_reached(answer: bytes) -> None:
    with endpoint(answer) as url, pytest.raises(KafkaConnectionError, match="gives no token"):
        await EndpointTokens(ClientCredentials(url, "c", "s")).token()


@pytest.mark.asyncio
async def test_an_endpoint_that_is_away_is_a_broker_that_cannot_be_reached() -> None:
    with pytest.raises(KafkaConnectionError, match="gives no token"):
        await EndpointTokens(ClientCredentials("http://127.0.0.1:1/token", "c", "s")).token()
