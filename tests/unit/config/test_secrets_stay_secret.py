"""No secret setting is shown anywhere: not in a list, a repr, an error or a log line, whatever it is."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from cqrs.config.listing import describe_settings
from cqrs.exceptions import ConfigurationException
from cqrs.telemetry.logs import configure_logging
from service.settings import OrderSettings

# Quotes end a URL: whoever puts one into the password of a URL has to encode it.
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'"), max_size=20).map(
    lambda text: f"hunter2{text}"
)

MADE: dict[str, str] = {
    "database_url": "postgresql+asyncpg://me:{secret}@db/orders",
    "cache_url": "redis://me:hunter2@cache:6379/0",
    "schema_registry_url": "https://me:hunter2@registry:8081",
    "kafka_sasl_oauth_token_url": "https://idp/token?client_secret=hunter2",
}
"""Settings that are URLs, with a secret in them."""

NEEDED: dict[str, dict[str, object]] = {
    "kafka_sasl_password": {"kafka_sasl_username": "me", "kafka_sasl_mechanism": "PLAIN"},
    "kafka_sasl_oauth_client_secret": {
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_sasl_oauth_token_url": "https://idp/token",
        "kafka_sasl_oauth_client_id": "me",
    },
    "schema_registry_password": {"schema_registry_username": "me", "schema_registry_url": "https://registry"},
    "schema_registry_token": {"schema_registry_url": "https://registry"},
}
"""What else has to be set, for the settings to be accepted."""


def secrets_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from secrets_of(field.annotation, (*path, name))
        elif "SecretStr" in str(field.annotation) or field.annotation is SecretStr:
            yield ".".join((*path, name))


SECRETS = tuple(secrets_of(OrderSettings))


def chosen(name: str, secret: str) -> dict[str, Any]:
    needed = NEEDED.get(name, {})
    kafka = {"kafka_bootstrap_servers": "k:1", "kafka_security_protocol": "SASL_SSL"} if "sasl" in name else {}
    return {**kafka, **needed, name: MADE.get(name, "{secret}").replace("{secret}", secret)}


def everything_said(values: dict[str, Any]) -> str:
    """Return all that is ever said of settings: accepted, refused, listed, logged."""
    try:
        accepted = OrderSettings(**values)
    except ConfigurationException as refused:
        return str(refused)
    stream = io.StringIO()
    configured = configure_logging("INFO", "json", stream=stream)
    logging.getLogger("t").info("with %s and %r", accepted, accepted, extra={"settings": accepted, **values})
    configured.restore()
    return " ".join([str(describe_settings(accepted)), repr(accepted), str(accepted), stream.getvalue()])


def test_there_are_secrets_at_all() -> None:
    assert {"kafka_sasl_password", "kafka_ssl_key_password", "database_url", "schema_registry_token"} <= set(SECRETS)


@pytest.mark.parametrize("name", [*SECRETS, "schema_registry_url"])
@settings(max_examples=15)
@given(secret=VALUES)
def test_it_is_shown_nowhere(name: str, secret: str) -> None:
    said = everything_said(chosen(name, secret))

    assert said
    assert "hunter2" not in said.replace("schema_registry_url='https://me:hunter2@", "")


@pytest.mark.parametrize("name", [*SECRETS, "schema_registry_url"])
@settings(max_examples=15)
@given(secret=VALUES)
def test_an_error_beside_it_does_not_repeat_it(name: str, secret: str) -> None:
    with pytest.raises(ConfigurationException) as refused:
        OrderSettings(**chosen(name, secret), max_in_flight="many", nonsense=1)  # type: ignore[arg-type, call-arg]

    assert "MAX_IN_FLIGHT" in str(refused.value)
    assert "hunter2" not in str(refused.value)
