"""The settings that reach a secured cluster: TLS, client certificates, SASL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

PLAIN, OAUTHBEARER = "PLAIN", "OAUTHBEARER"


class KafkaSecuritySettings(BaseSettings):
    """Hold the settings of a secured cluster; `ServiceSettings` has them."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How the brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="How this client proves who it is, where the protocol is a SASL one"
    )
    kafka_sasl_username: str | None = Field(default=None, min_length=1, description="The user of PLAIN and SCRAM")
    kafka_sasl_password: SecretStr | None = Field(default=None, description="The password of PLAIN and SCRAM")
    kafka_sasl_oauth_token_file: Path | None = Field(
        default=None, description="A file that holds OAUTHBEARER's token, read again for each connection"
    )
    kafka_sasl_oauth_token_url: str | None = Field(
        default=None, min_length=1, description="Where OAUTHBEARER's token is asked for, by client credentials"
    )
    kafka_sasl_oauth_client_id: str | None = Field(default=None, min_length=1, description="The client's id there")
    kafka_sasl_oauth_client_secret: SecretStr | None = Field(default=None, description="The client's secret there")
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
        problems = [*self._sasl_problems(), *self._tls_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def speaks_sasl(self) -> bool:
        """Say whether the protocol is a SASL one."""
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def speaks_tls(self) -> bool:
        """Say whether the protocol is encrypted."""
        return self.kafka_security_protocol.endswith("SSL")

    def _sasl_problems(self) -> Iterator[str]:
        mechanism = self.kafka_sasl_mechanism
        given = [name for name in type(self).model_fields if name.startswith("kafka_sasl_") and getattr(self, name)]
        if not self.speaks_sasl:
            if given:
                yield (
                    f"{given[0].upper()} is set, and KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}; "
                    "make it SASL_SSL"
                )
            return
        if mechanism is None:
            yield f"KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}; set KAFKA_SASL_MECHANISM too"
        elif mechanism == OAUTHBEARER:
            yield from self._oauth_problems()
        elif self.kafka_sasl_username is None or self.kafka_sasl_password is None:
            yield f"{mechanism} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"

    def _oauth_problems(self) -> Iterator[str]:
        credentials = (self.kafka_sasl_oauth_client_id, self.kafka_sasl_oauth_client_secret)
        if (self.kafka_sasl_oauth_token_file is None) == (self.kafka_sasl_oauth_token_url is None):
            yield "OAUTHBEARER needs KAFKA_SASL_OAUTH_TOKEN_FILE or KAFKA_SASL_OAUTH_TOKEN_URL, one of the two"
        elif self.kafka_sasl_oauth_token_url is not None and None in credentials:
            yield ("KAFKA_SASL_OAUTH_TOKEN_URL needs KAFKA_SASL_OAUTH_CLIENT_ID and KAFKA_SASL_OAUTH_CLIENT_SECRET")

    def _tls_problems(self) -> Iterator[str]:
        names = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_key_password")
        given = [name for name in names if getattr(self, name) is not None]
        if given and not self.speaks_tls:
            yield (
                f"{given[0].upper()} is set, and KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}; "
                "make it SSL or SASL_SSL"
            )
        if (self.kafka_ssl_certfile is None) != (self.kafka_ssl_keyfile is None):
            yield "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE go together"
        if self.kafka_ssl_key_password is not None and self.kafka_ssl_keyfile is None:
            yield "KAFKA_SSL_KEY_PASSWORD needs KAFKA_SSL_KEYFILE"
