"""What contradicts itself in the settings of a secured cluster is said before anything connects."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cqrs.config.listing import describe_settings
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException

CLUSTER = {"kafka_bootstrap_servers": "k:9092"}
SCRAM = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-512"}
TOKENS = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}
KNOWN = {"kafka_sasl_username": "u", "kafka_sasl_password": "p"}


def made(*given: Mapping[str, object], **more: object) -> ServiceSettings:
    return ServiceSettings.model_validate({key: value for each in (*given, more) for key, value in each.items()})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kafka_security_protocol": "SSL"},
        {"kafka_security_protocol": "SSL", "kafka_ssl_certfile": "c.pem", "kafka_ssl_keyfile": "k.pem"},
        {**SCRAM, **KNOWN},
        {**SCRAM, **KNOWN, "kafka_security_protocol": "SASL_PLAINTEXT"},
        {**TOKENS, "kafka_sasl_oauth_token_file": "token"},
        {
            **TOKENS,
            "kafka_sasl_oauth_token_url": "https://idp/token",
            "kafka_sasl_oauth_client_id": "c",
            "kafka_sasl_oauth_client_secret": "s",
        },
    ],
)
def test_what_makes_sense_is_taken(given: dict[str, object]) -> None:
    assert made(CLUSTER, given).kafka_security_protocol == given.get("kafka_security_protocol", "PLAINTEXT")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({**SCRAM}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({**SCRAM, "kafka_sasl_username": "u"}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"kafka_security_protocol": "SASL_SSL"}, "set KAFKA_SASL_MECHANISM too"),
        ({"kafka_sasl_username": "u"}, "KAFKA_SASL_USERNAME is set, and KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
        ({"kafka_security_protocol": "SSL", "kafka_sasl_mechanism": "PLAIN"}, "make it SASL_SSL"),
        ({"kafka_ssl_cafile": "ca.pem"}, "make it SSL or SASL_SSL"),
        ({**SCRAM, **KNOWN, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_cafile": "x"}, "KAFKA_SSL_CAFILE"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_keyfile": "k.pem"}, "go together"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_key_password": "p"}, "needs KAFKA_SSL_KEYFILE"),
        ({**TOKENS}, "KAFKA_SASL_OAUTH_TOKEN_FILE or KAFKA_SASL_OAUTH_TOKEN_URL"),
        ({**TOKENS, "kafka_sasl_oauth_token_url": "https://idp"}, "KAFKA_SASL_OAUTH_CLIENT_ID"),
        ({"kafka_security_protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_what_contradicts_itself_is_said(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationException) as refused:
        made(CLUSTER, given)
    assert says in str(refused.value)


def test_the_embedded_broker_knows_no_security() -> None:
    with pytest.raises(ConfigurationException, match="KAFKA_BOOTSTRAP_SERVERS"):
        made({"kafka_security_protocol": "SSL"})


def test_secrets_are_shown_nowhere() -> None:
    settings = made(CLUSTER, SCRAM, {"kafka_sasl_username": "u", "kafka_sasl_password": "hunter2"})
    shown = " ".join(f"{each.environment} {each.value}" for each in describe_settings(settings))
    assert "hunter2" not in shown + repr(settings)


def test_files_are_paths() -> None:
    assert made(CLUSTER, kafka_security_protocol="SSL", kafka_ssl_cafile="ca.pem").kafka_ssl_cafile == Path("ca.pem")
