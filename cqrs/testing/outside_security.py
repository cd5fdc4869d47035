"""What librdkafka's clients are told to reach a secured cluster."""

import time
from collections.abc import Callable, Mapping

from cqrs.config.kafka_security import OAUTHBEARER, KafkaSecuritySettings

OutsideOptions = Mapping[str, str | bool | Callable[[str], tuple[str, float]]]
"""Options of librdkafka, by their names."""

_TOKEN_SECONDS = 300.0
"""After how long a token from a file is read again."""


def outside_options(settings: KafkaSecuritySettings) -> OutsideOptions:
    """Return librdkafka's options for the cluster that the settings describe; none for a plain one."""
    if settings.kafka_security_protocol == "PLAINTEXT":
        return {}
    password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_key_password
    given = {
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": password.get_secret_value() if password is not None else None,
        "ssl.ca.location": settings.kafka_ssl_cafile,
        "ssl.certificate.location": settings.kafka_ssl_certfile,
        "ssl.key.location": settings.kafka_ssl_keyfile,
        "ssl.key.password": key_password.get_secret_value() if key_password is not None else None,
    }
    options: dict[str, str | bool | Callable[[str], tuple[str, float]]] = {
        name: str(value) for name, value in given.items() if value is not None
    }
    if settings.speaks_tls and not settings.kafka_ssl_check_hostname:
        options["ssl.endpoint.identification.algorithm"] = "none"
    if settings.kafka_sasl_mechanism == OAUTHBEARER:
        options |= _oauth_options(settings)
    return options


def _oauth_options(settings: KafkaSecuritySettings) -> OutsideOptions:
    path, secret = settings.kafka_sasl_oauth_token_file, settings.kafka_sasl_oauth_client_secret
    if path is not None:
        return {"oauth_cb": lambda _config: (path.read_text("utf-8").strip(), time.time() + _TOKEN_SECONDS)}
    given = {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.kafka_sasl_oauth_token_url,
        "sasl.oauthbearer.client.id": settings.kafka_sasl_oauth_client_id,
        "sasl.oauthbearer.client.secret": secret.get_secret_value() if secret is not None else None,
        "sasl.oauthbearer.scope": settings.kafka_sasl_oauth_scope,
    }
    return {name: value for name, value in given.items() if value is not None}
