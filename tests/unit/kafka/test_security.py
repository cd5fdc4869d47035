"""A secured cluster's settings become the clients' options, and certificates that are renewed are taken up."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cqrs.config.settings import ServiceSettings
from cqrs.config.tls_files import TlsFiles
from cqrs.kafka import security
from cqrs.kafka.security import RenewedContext, security_options
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


def test_a_password_in_the_clear_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    clear = SCRAM | {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"}
    security._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        security_options(made(**clear))
        security_options(made(**clear))
    assert caplog.text.count("unencrypted") == 1


def test_clients_with_the_same_credentials_share_their_tokens() -> None:
    given = {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_sasl_oauth_token_url": "https://idp/token",
        "kafka_sasl_oauth_client_id": "c",
        "kafka_sasl_oauth_client_secret": "s",
    }
    first, second = (security_options(made(**given))["sasl_oauth_token_provider"] for _ in range(2))
    other = security_options(made(**given | {"kafka_sasl_oauth_client_secret": "t"}))["sasl_oauth_token_provider"]
    assert first is second
    assert first is not other


class Renewal:
    """A certificate whose files are written again, and a server that asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = CertificateAuthority(folder)
        self.files = TlsFiles(self.authority.certificate, folder / "tls.crt", folder / "tls.key")
        self._server = self.authority.sign("server", "localhost")
        self.renew("first")

    def renew(self, name: str) -> None:
        made = self.authority.sign(name)
        for new, place in ((made.certificate, self.files.certfile), (made.key, self.files.keyfile)):
            assert place is not None
            new.replace(place)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Callable[[ssl.SSLContext], Awaitable[str]]]:
        """Return what connects, and says by whose certificate."""
        asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority.certificate)
        asking.load_cert_chain(self._server.certificate, self._server.key)
        asking.verify_mode = ssl.CERT_REQUIRED

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            subject = writer.get_extra_info("peercert")["subject"]
            writer.write(f"{subject[0][0][1]}\n".encode())
            await writer.drain()
            writer.close()

        async def connect(context: ssl.SSLContext) -> str:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            told = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return told.decode().strip()

        async with await asyncio.start_server(tell, "localhost", 0, ssl=asking, family=socket.AF_INET) as listening:
            yield connect


@pytest.mark.asyncio
async def test_a_renewed_certificate_is_shown_at_the_next_connection(tmp_path: Path) -> None:
    renewal = Renewal(tmp_path)
    context = RenewedContext.of(renewal.files)
    async with renewal.server() as connect:
        assert await connect(context) == "first"
        renewal.renew("second")
        assert [await connect(context), await connect(context)] == ["second", "second"]


@pytest.mark.asyncio
async def test_files_of_no_use_leave_what_was_loaded_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    renewal = Renewal(tmp_path)
    context = RenewedContext.of(renewal.files)
    assert renewal.files.keyfile is not None
    async with renewal.server() as connect:
        renewal.authority.sign("other").key.replace(renewal.files.keyfile)
        assert [await connect(context), await connect(context)] == ["first", "first"]
        assert caplog.text.count("Renewed certificates cannot be used") == 1
        renewal.files.keyfile.unlink()
        assert await connect(context) == "first"
        renewal.renew("third")
        assert await connect(context) == "third"
