"""Who a client of the schema registry is, as the settings say it and as Confluent's clients are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from cqrs.config.registry_settings import RegistrySettings
from cqrs.config.tls_files import TlsFiles
from cqrs.exceptions import DependencyUnavailableException

Fields = Callable[[object], Mapping[str, str]]
"""What Confluent's client asks for the bearer token; it passes the options it was given for that."""


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """Say who this client is, and whom it trusts.

    Attributes:
        username: Of basic authentication, or None.
        password: Its password.
        token: Answers the bearer token whenever one is needed; None for none.
        files: Trusted authorities, and the own certificate of mutual TLS.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: Callable[[], str] | None = None
    files: TlsFiles = field(default_factory=TlsFiles)


def registry_login(settings: RegistrySettings) -> RegistryLogin:
    """Return who the settings say this client is; a token's file is read when the token is asked for."""
    password, token, path = (
        settings.schema_registry_password,
        settings.schema_registry_token,
        settings.schema_registry_token_file,
    )
    return RegistryLogin(
        username=settings.schema_registry_username,
        password=None if password is None else password.get_secret_value(),
        token=None if token is None and path is None else lambda: _token(token, path),
        files=settings.registry_tls_files,
    )


def login_options(
    login: RegistryLogin, provider: Callable[[Fields], object] = lambda fields: fields
) -> dict[str, object]:
    """Return the options of Confluent's client that log in so.

    Args:
        login: Who this client is.
        provider: Makes of a function what the client calls for a token: the asynchronous one awaits it.
    """
    options: dict[str, object] = {}
    if login.username is not None:
        options["basic.auth.user.info"] = f"{login.username}:{login.password or ''}"
    if (token := login.token) is not None:
        options |= {
            "bearer.auth.credentials.source": "CUSTOM",
            "bearer.auth.custom.provider.function": provider(
                lambda _: {"bearer.auth.token": token(), "bearer.auth.logical.cluster": ""}
            ),
            "bearer.auth.custom.provider.config": {},
        }
    named = {"ca": login.files.cafile, "certificate": login.files.certfile, "key": login.files.keyfile}
    options |= {f"ssl.{name}.location": str(path) for name, path in named.items() if path is not None}
    if login.files.key_password is not None:
        options["ssl.key.password"] = login.files.key_password
    return options


def _token(given: SecretStr | None, path: Path | None) -> str:
    if path is None:
        return given.get_secret_value() if given is not None else ""
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise DependencyUnavailableException(
            "schema registry", f"SCHEMA_REGISTRY_TOKEN_FILE: {path} cannot be read: {error.strerror}"
        ) from error
