"""The settings that reach a cluster: its addresses, TLS, client certificates, SASL."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from cqrs.config.tls_files import TlsFiles, unreadable_file
from cqrs.exceptions import ConfigurationException

PLAIN, OAUTHBEARER = "PLAIN", "OAUTHBEARER"


class KafkaSecuritySettings(BaseSettings):
    """Hold what reaches a cluster; `ServiceSettings` has them.

    Raises:
        ConfigurationException: settings that contradict each other, or files that cannot be used; names every one.
    """

    kafka_bootstrap_servers: str | None = Field(
        default=None, min_length=1, description="host:port,... of the brokers; not set: the embedded broker"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How the brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="How this client proves who it is, where the protocol is a SASL one"
    )
    kafka_sasl_username: str | None = Field(default=None, min_length=1, description="The user of PLAIN and SCRAM")
    kafka_sasl_password: SecretStr | None = Field(
        default=None, min_length=1, description="The password of PLAIN and SCRAM"
    )
    kafka_sasl_oauth_token_file: Path | None = Field(
        default=None, description="A file that holds OAUTHBEARER's token, read again for each connection"
    )
    kafka_sasl_oauth_token_url: str | None = Field(
        default=None,
        pattern=r"^https?://.",
        description="Where OAUTHBEARER's token is asked for, by client credentials",
    )
    kafka_sasl_oauth_client_id: str | None = Field(default=None, min_length=1, description="The client's id there")
    kafka_sasl_oauth_client_secret: SecretStr | None = Field(
        default=None, min_length=1, description="The client's secret there"
    )
    kafka_sasl_oauth_scope: str | None = Field(default=None, min_length=1, description="The scope that is asked for")
    kafka_ssl_cafile: Path | None = Field(
        default=None, description="PEM file of the authorities that are trusted; not set: the system's"
    )
    kafka_ssl_certfile: Path | None = Field(default=None, description="PEM file of this client's certificate")
    kafka_ssl_keyfile: Path | None = Field(default=None, description="PEM file of its private key")
    kafka_ssl_key_password: SecretStr | None = Field(default=None, description="The password of the private key")
    kafka_ssl_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must be for its host name; false weakens TLS"
    )

    @model_validator(mode="after")
    def _security_makes_sense(self) -> Self:
        problems = [
            *self._protocol_problems(),
            *self._sasl_problems(),
            *self._oauth_problems(),
            *self._tls_problems(),
            *self.tls_files.problems(),
        ]
        if problems:
            raise ConfigurationException(problems)
        return self

    @property
    def speaks_sasl(self) -> bool:
        """Say whether the protocol is a SASL one."""
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def speaks_tls(self) -> bool:
        """Say whether the protocol is encrypted."""
        return self.kafka_security_protocol.endswith("SSL")

    @property
    def tls_files(self) -> TlsFiles:
        """Return the certificates and the key."""
        password = self.kafka_ssl_key_password
        return TlsFiles(
            self.kafka_ssl_cafile,
            self.kafka_ssl_certfile,
            self.kafka_ssl_keyfile,
            password.get_secret_value() if password is not None else None,
        )

    def weaknesses(self) -> Iterator[str]:
        """Return a sentence for each setting that lets others read or pretend more than they must."""
        if self.kafka_security_protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism in (PLAIN, OAUTHBEARER):
            what = "password" if self.kafka_sasl_mechanism == PLAIN else "token"
            yield f"KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: the {what} crosses the network unencrypted"
        if self.speaks_tls and not self.kafka_ssl_check_hostname:
            yield "KAFKA_SSL_CHECK_HOSTNAME is false: whoever has a certificate of the authority may play a broker"
        if (self.kafka_sasl_oauth_token_url or "").startswith("http://"):
            yield "KAFKA_SASL_OAUTH_TOKEN_URL is http: the client's secret crosses the network unencrypted"

    def _protocol_problems(self) -> Iterator[str]:
        protocol = self.kafka_security_protocol
        if protocol != "PLAINTEXT" and self.kafka_bootstrap_servers is None:
            yield (
                f"KAFKA_SECURITY_PROTOCOL is {protocol}, which the embedded broker does not know; "
                "set KAFKA_BOOTSTRAP_SERVERS too"
            )
        if not self.speaks_sasl and (given := self._given("kafka_sasl_")):
            better = "SASL_PLAINTEXT or SASL_SSL" if protocol == "PLAINTEXT" else "SASL_SSL"
            yield f"KAFKA_SECURITY_PROTOCOL is {protocol}, which has no use for {_listed(given)}; make it {better}"
        if not self.speaks_tls and (given := self._given("kafka_ssl_")):
            better = "SSL or SASL_SSL" if protocol == "PLAINTEXT" else "SASL_SSL"
            yield f"KAFKA_SECURITY_PROTOCOL is {protocol}, which has no use for {_listed(given)}; make it {better}"

    def _sasl_problems(self) -> Iterator[str]:
        mechanism, known = self.kafka_sasl_mechanism, ("kafka_sasl_username", "kafka_sasl_password")
        if self.speaks_sasl and mechanism is None:
            yield f"KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}; set KAFKA_SASL_MECHANISM too"
        if mechanism is None:
            return
        missing, given = [name for name in known if getattr(self, name) is None], self._given(*known)
        tokens = self._given("kafka_sasl_oauth_")
        if mechanism == OAUTHBEARER and given:
            yield f"KAFKA_SASL_MECHANISM is {mechanism}, which has no use for {_listed(given)}"
        if mechanism != OAUTHBEARER and missing:
            yield f"KAFKA_SASL_MECHANISM is {mechanism}, which needs {_listed(missing)} too"
        if mechanism != OAUTHBEARER and tokens:
            yield f"KAFKA_SASL_MECHANISM is {mechanism}, which has no use for {_listed(tokens)}"

    def _oauth_problems(self) -> Iterator[str]:
        if self.kafka_sasl_mechanism != OAUTHBEARER:
            return
        url, path = self.kafka_sasl_oauth_token_url, self.kafka_sasl_oauth_token_file
        credentials = ("kafka_sasl_oauth_client_id", "kafka_sasl_oauth_client_secret", "kafka_sasl_oauth_scope")
        given, needed = self._given(*credentials), credentials[:2]
        if (path is None) == (url is None):
            yield (
                "KAFKA_SASL_MECHANISM is OAUTHBEARER, which needs KAFKA_SASL_OAUTH_TOKEN_FILE or "
                "KAFKA_SASL_OAUTH_TOKEN_URL, one of the two"
            )
        if url is not None and (missing := [name for name in needed if name not in given]):
            yield f"KAFKA_SASL_OAUTH_TOKEN_URL needs {_listed(missing)} too"
        if url is None and given:
            yield f"{_listed(given)}: of use with KAFKA_SASL_OAUTH_TOKEN_URL only"
        if path is not None and (problem := unreadable_file(path)):
            yield f"KAFKA_SASL_OAUTH_TOKEN_FILE: {problem}"

    def _tls_problems(self) -> Iterator[str]:
        if (self.kafka_ssl_certfile is None) != (self.kafka_ssl_keyfile is None):
            yield "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE go together; set both, to the same file if it holds both"
        if self.kafka_ssl_key_password is not None and self.kafka_ssl_keyfile is None:
            yield "KAFKA_SSL_KEY_PASSWORD needs KAFKA_SSL_KEYFILE"

    def _given(self, *beginnings: str) -> list[str]:
        """Return the settings of these names that are not as they are by default."""
        fields = type(self).model_fields
        return [name for name in fields if name.startswith(beginnings) and getattr(self, name) != fields[name].default]


def _listed(names: Iterable[str]) -> str:
    return " and ".join(name.upper() for name in names)
