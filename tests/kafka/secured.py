"""A real Kafka that asks who one is: over TLS, by certificates, by passwords, by tokens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cqrs.testing.certificates import CertificateAuthority, Identity
from cqrs.testing.kafka_server import KafkaServer

USER, PASSWORD = "orders", "s3cret"
LISTENERS = {"TLS": "SSL", "MUTUAL": "SSL", "SCRAM": "SASL_SSL", "PLAINSASL": "SASL_PLAINTEXT", "TOKENS": "SASL_SSL"}
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
_TOKEN_LOGIN = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """Name a secured broker and what opens it.

    Attributes:
        server: The broker.
        authority: The certificate of the authority that signed its own.
        client: A certificate that it takes.
        stranger: A certificate of an authority that it does not know.
    """

    server: KafkaServer
    authority: Path
    client: Identity
    stranger: Identity


@contextmanager
def secured_kafka(jars: Path, folder: Path) -> Iterator[SecuredKafka]:
    """Run a broker with a listener for each way to be let in."""
    authority = CertificateAuthority(folder)
    (folder / "other").mkdir()
    stranger = CertificateAuthority(folder / "other").sign("stranger")
    identity = authority.sign("broker", "localhost", "127.0.0.1")
    store = folder / "broker-store.pem"
    store.write_text(identity.key.read_text("utf-8") + identity.certificate.read_text("utf-8"), "utf-8")
    properties = _properties(store, authority.certificate)
    with KafkaServer(jars, listeners=LISTENERS, properties=properties, scram={USER: PASSWORD}) as server:
        yield SecuredKafka(server, authority.certificate, authority.sign("client"), stranger)


def _properties(store: Path, trusted: Path) -> Mapping[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": f"{_SCRAM_LOGIN} required;",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_SCRAM_LOGIN} required;",
        "listener.name.plainsasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plainsasl.plain.sasl.jaas.config": f'{_PLAIN_LOGIN} required user_{USER}="{PASSWORD}";',
        "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.tokens.oauthbearer.sasl.jaas.config": f'{_TOKEN_LOGIN} required unsecuredLoginStringClaim_sub="b";',  # noqa: E501
    }
