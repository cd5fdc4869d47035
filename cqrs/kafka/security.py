"""What aiokafka's clients are told to reach a secured cluster."""

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

from aiokafka.abc import AbstractTokenProvider

from cqrs.config.kafka_security import OAUTHBEARER, PLAIN, KafkaSecuritySettings
from cqrs.exceptions import ConfigurationException
from cqrs.kafka.oauth import ClientCredentials, EndpointTokens, FileTokens

_log = logging.getLogger(__name__)


def security_options(settings: KafkaSecuritySettings) -> Mapping[str, object]:
    """Return aiokafka's options for the cluster that the settings describe; none for a plain one.

    Raises:
        ConfigurationException: a file cannot be read, or is no certificate or key; names every such file.
    """
    if settings.kafka_security_protocol == "PLAINTEXT":
        return {}
    options: dict[str, object] = {"security_protocol": settings.kafka_security_protocol}
    if settings.speaks_tls:
        options["ssl_context"] = _ssl_context(settings)
    if settings.speaks_sasl:
        options |= _sasl_options(settings)
    return options


def _sasl_options(settings: KafkaSecuritySettings) -> dict[str, object]:
    mechanism = settings.kafka_sasl_mechanism
    if mechanism == OAUTHBEARER:
        return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": _tokens(settings)}
    if mechanism == PLAIN and not settings.speaks_tls:
        _log.warning("KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT: the password crosses the network unencrypted")
    password = settings.kafka_sasl_password
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": password.get_secret_value() if password is not None else None,
    }


def _tokens(settings: KafkaSecuritySettings) -> AbstractTokenProvider:
    if settings.kafka_sasl_oauth_token_file is not None:
        return FileTokens(settings.kafka_sasl_oauth_token_file)
    secret = settings.kafka_sasl_oauth_client_secret
    return EndpointTokens(
        ClientCredentials(
            settings.kafka_sasl_oauth_token_url or "",
            settings.kafka_sasl_oauth_client_id or "",
            secret.get_secret_value() if secret is not None else "",
            settings.kafka_sasl_oauth_scope,
        )
    )


def _ssl_context(settings: KafkaSecuritySettings) -> ssl.SSLContext:
    problems = [
        f"{name.upper()}: {path} cannot be read"
        for name in ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile")
        if (path := getattr(settings, name)) is not None and not _is_readable(path)
    ]
    if problems:
        raise ConfigurationException(problems)
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    except ssl.SSLError as error:
        raise ConfigurationException([f"KAFKA_SSL_CAFILE: no certificate in PEM: {error}"]) from error
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_certfile is not None:
        _load_certificate(context, settings)
    return context


def _load_certificate(context: ssl.SSLContext, settings: KafkaSecuritySettings) -> None:
    secret = settings.kafka_ssl_key_password
    password = secret.get_secret_value() if secret is not None else ""  # not None: openssl would ask the terminal
    try:
        context.load_cert_chain(settings.kafka_ssl_certfile or "", settings.kafka_ssl_keyfile, password)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationException(
            [
                f"KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE: not a certificate and its key in PEM, or a wrong "
                f"KAFKA_SSL_KEY_PASSWORD: {error}"
            ]
        ) from error


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
