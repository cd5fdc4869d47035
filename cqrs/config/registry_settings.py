"""The settings that reach a schema registry: its address, how it lets this client in, how subjects are named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, SecretStr, model_validator
from pydantic_settings import BaseSettings

from cqrs.config.tls_files import TlsFiles, unreadable_file
from cqrs.exceptions import ConfigurationException


class RegistrySettings(BaseSettings):
    """Hold what reaches a schema registry; `ServiceSettings` has them.

    Raises:
        ConfigurationException: settings that contradict each other, or files that cannot be used; names every one.
    """

    schema_registry_url: str | None = Field(
        default=None,
        pattern=r"^https?://.",
        description="URL of the schema registry, several with commas; not set: the file registry",
    )
    schema_registry_username: str | None = Field(
        default=None, min_length=1, description="The user, or the API key, of basic authentication there"
    )
    schema_registry_password: SecretStr | None = Field(
        default=None, min_length=1, description="The password, or the API secret, of basic authentication"
    )
    schema_registry_token: SecretStr | None = Field(default=None, min_length=1, description="A bearer token instead")
    schema_registry_token_file: Path | None = Field(
        default=None, description="A file that holds the bearer token, read again for each request"
    )
    schema_registry_ssl_cafile: Path | None = Field(
        default=None, description="PEM file of the authorities that are trusted there; not set: the usual ones"
    )
    schema_registry_ssl_certfile: Path | None = Field(
        default=None, description="PEM file of this client's certificate, for mutual TLS"
    )
    schema_registry_ssl_keyfile: Path | None = Field(default=None, description="PEM file of its private key")
    schema_registry_ssl_key_password: SecretStr | None = Field(
        default=None, description="The password of that private key"
    )
    schema_registry_timeout_seconds: PositiveFloat = Field(
        default=5.0, description="Seconds that one question to the registry may take, its repetitions included"
    )
    schema_registry_subject_naming: Literal["TopicRecordName", "TopicName", "RecordName"] = Field(
        default="TopicRecordName", description="How subjects are named, as Confluent's strategies of these names do"
    )
    schema_registry_auto_register: bool = Field(
        default=True,
        description="Register the events' schemas at start; false: they must be there (`schemas register`)",
    )

    @model_validator(mode="after")
    def _registry_makes_sense(self) -> Self:
        problems = [*self._login_problems(), *self._registry_tls_problems(), *self.registry_tls_files.problems()]
        if problems:
            raise ConfigurationException(problems)
        return self

    @property
    def registry_tls_files(self) -> TlsFiles:
        """Return the certificates and the key for the registry."""
        password = self.schema_registry_ssl_key_password
        return TlsFiles(
            self.schema_registry_ssl_cafile,
            self.schema_registry_ssl_certfile,
            self.schema_registry_ssl_keyfile,
            password.get_secret_value() if password is not None else None,
            prefix="SCHEMA_REGISTRY_SSL_",
        )

    def registry_weaknesses(self) -> Iterator[str]:
        """Return a sentence for what lets others read what reaches the registry."""
        secret = self.schema_registry_password or self.schema_registry_token or self.schema_registry_token_file
        for url in (self.schema_registry_url or "").split(","):
            parts = urlsplit(url.strip())
            if parts.scheme == "http" and (secret is not None or parts.password):
                yield "SCHEMA_REGISTRY_URL is http: the password or token crosses the network unencrypted"

    def _login_problems(self) -> Iterator[str]:
        basic = [self.schema_registry_username, self.schema_registry_password]
        token, path = self.schema_registry_token, self.schema_registry_token_file
        in_url = any("@" in urlsplit(each).netloc for each in (self.schema_registry_url or "").split(","))
        ways = (any(basic), token is not None, path is not None, in_url)
        if self.schema_registry_url is None and any(ways):
            yield "SCHEMA_REGISTRY_URL is not set, so nobody asks who this client is; set it too"
        if any(basic) and not all(basic):
            yield "SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD go together; set both"
        if sum(ways) > 1:
            yield (
                "the schema registry is told in more than one way who this client is: choose one of a user in "
                "SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_USERNAME, SCHEMA_REGISTRY_TOKEN, SCHEMA_REGISTRY_TOKEN_FILE"
            )
        if path is not None and (problem := unreadable_file(path)):
            yield f"SCHEMA_REGISTRY_TOKEN_FILE: {problem}"

    def _registry_tls_problems(self) -> Iterator[str]:
        if (self.schema_registry_ssl_certfile is None) != (self.schema_registry_ssl_keyfile is None):
            yield "SCHEMA_REGISTRY_SSL_CERTFILE and SCHEMA_REGISTRY_SSL_KEYFILE go together; set both"
        if self.schema_registry_ssl_key_password is not None and self.schema_registry_ssl_keyfile is None:
            yield "SCHEMA_REGISTRY_SSL_KEY_PASSWORD needs SCHEMA_REGISTRY_SSL_KEYFILE"
        plain = all(each.strip().startswith("http://") for each in (self.schema_registry_url or "").split(","))
        if self.registry_tls_files.paths and plain:
            yield "SCHEMA_REGISTRY_SSL_...: of use with an https URL in SCHEMA_REGISTRY_URL only"
