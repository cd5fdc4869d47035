"""A real Kafka for tests that asks who one is, by TLS, certificates, passwords or tokens, and what one may do."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cqrs.testing.certificates import CertificateAuthority, Identity
from cqrs.testing.kafka_server import KafkaServer

LISTENERS: Mapping[str, str] = {
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "SCRAM": "SASL_SSL",
    "PLAINSASL": "SASL_PLAINTEXT",
    "PLAINTLS": "SASL_SSL",
    "TOKENS": "SASL_SSL",
}
"""The ways in and their protocols; MUTUAL asks for a client's certificate."""

_LOGINS = "org.apache.kafka.common.security"
_SCRAM_LOGIN = f"{_LOGINS}.scram.ScramLoginModule required;"
_TOKEN_LOGIN = f'{_LOGINS}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
_CLIENT = "client"


class SecuredKafka:
    """Run one broker with a listener for each way in; `server` also has one that asks nothing, for the test itself.

    What the broker is asked to do is judged by its ACLs: whoever is in `users`, the holder of `client` and whoever asks
    without a name may do everything, whoever is in `guests` nothing but what a test allows::

        with SecuredKafka(jars, folder, users={"orders": "s3cret"}) as kafka:
            connect(kafka.address("SCRAM"), "orders", "s3cret", trusting=kafka.authority.certificate)

    SCRAM and PLAIN take the same users; OAUTHBEARER takes unsigned tokens (`alg` none), whose `sub` is the user.

    Args:
        jars: A folder with the jars of Kafka and of a logging backend.
        folder: Where the certificates go.
        users: Who may do everything, and the passwords.
        guests: Who may do nothing, and the passwords.
        properties: Further properties of the broker.

    Attributes:
        server: The broker.
        authority: What signed the broker's certificate, which is for localhost alone.
        client: A certificate that the broker takes.
        stranger: A certificate of an authority that it does not know.
    """

    def __init__(
        self,
        jars: Path,
        folder: Path,
        *,
        users: Mapping[str, str],
        guests: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        known = {**users, **(guests or {})}
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        self.authority = CertificateAuthority(folder)
        self.client: Identity = self.authority.sign(_CLIENT)
        self.stranger: Identity = CertificateAuthority(elsewhere).sign("stranger")
        asked = {**self._identity(folder), **_logins(known), **_rights(users), **(properties or {})}
        self.server = KafkaServer(jars, listeners=LISTENERS, properties=asked, scram=known)

    def address(self, listener: str) -> str:
        """Return `host:port` of one of the `LISTENERS`, by the host name that the certificate is for."""
        return self.server.address(listener)

    def __enter__(self) -> Self:
        """Start, and return itself."""
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the broker and delete its data."""
        self.server.close()

    def _identity(self, folder: Path) -> Mapping[str, str]:
        identity, store = self.authority.sign("broker", "localhost"), folder / "broker-store.pem"
        store.write_text(identity.key.read_text("utf-8") + identity.certificate.read_text("utf-8"), "utf-8")
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
            "listener.name.mutual.ssl.client.auth": "required",
        }


def _logins(known: Mapping[str, str]) -> Mapping[str, str]:
    users = " ".join(f'user_{name}="{password}"' for name, password in known.items())
    plain = f"{_LOGINS}.plain.PlainLoginModule required {users};"
    return {
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": _SCRAM_LOGIN,
        "listener.name.scram.scram-sha-512.sasl.jaas.config": _SCRAM_LOGIN,
        "listener.name.plainsasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plainsasl.plain.sasl.jaas.config": plain,
        "listener.name.plaintls.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plaintls.plain.sasl.jaas.config": plain,
        "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.tokens.oauthbearer.sasl.jaas.config": _TOKEN_LOGIN,
    }


def _rights(users: Mapping[str, str]) -> Mapping[str, str]:
    trusted = ["User:ANONYMOUS", f"User:CN={_CLIENT}", *(f"User:{name}" for name in users)]
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(trusted),
    }
