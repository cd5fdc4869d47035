"""Open the schema registry that the settings name."""

from pathlib import Path

from pydantic import SecretStr

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry, RegistryLogin
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import DependencyUnavailableException


def open_registry(settings: ServiceSettings, url: str) -> ConfluentSchemaRegistry:
    """Make the client of the registry at `url`; nothing is asked yet.

    Raises:
        ConfigurationException: the address is none.
    """
    password, token, path = (
        settings.schema_registry_password,
        settings.schema_registry_token,
        settings.schema_registry_token_file,
    )
    login = RegistryLogin(
        username=settings.schema_registry_username,
        password=None if password is None else password.get_secret_value(),
        token=None if token is None and path is None else lambda: _token(token, path),
        files=settings.registry_tls_files,
    )
    return ConfluentSchemaRegistry(url, timeout_seconds=settings.schema_registry_timeout_seconds, login=login)


def _token(given: SecretStr | None, path: Path | None) -> str:
    if path is None:
        return given.get_secret_value() if given is not None else ""
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise DependencyUnavailableException(
            "schema registry", f"SCHEMA_REGISTRY_TOKEN_FILE: {path} cannot be read: {error.strerror}"
        ) from error
