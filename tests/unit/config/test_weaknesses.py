from typing import Any

import pytest

from cqrs.config.weaknesses import weaknesses
from service.settings import OrderSettings

PRODUCTION: dict[str, Any] = {
    "kafka_bootstrap_servers": "k:9093",
    "kafka_security_protocol": "SSL",
    "database_url": "postgresql+asyncpg://db/orders",
    "schema_registry_url": "https://registry",
}


def found(**changed: Any) -> list[str]:
    return list(weaknesses(OrderSettings(**{**PRODUCTION, **changed})))


def test_the_defaults_weaken_nothing_where_a_cluster_and_a_database_are_given() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"kafka_bootstrap_servers": None, "kafka_security_protocol": "PLAINTEXT"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"kafka_security_protocol": "PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"kafka_ssl_check_hostname": False}, "KAFKA_SSL_CHECK_HOSTNAME"),
        ({"database_url": None}, "DATABASE_URL"),
        ({"database_schema": "allow_newer"}, "DATABASE_SCHEMA"),
        ({"schema_registry_url": "http://me:p@registry"}, "SCHEMA_REGISTRY_URL"),
        ({"retry_topics": {"orders.commands": (5000,)}}, "RETRY_TOPICS"),
        ({"breaker_keys": 0}, "BREAKER_KEYS"),
        ({"dead_letter_retention_hours": 12}, "DEAD_LETTER_RETENTION_HOURS"),
        ({"topic_replication": 1}, "TOPIC_REPLICATION"),
        ({"topic_min_insync_replicas": 1}, "TOPIC_MIN_INSYNC_REPLICAS"),
        ({"cqrs": {"command": {"event_publication": "lenient"}}}, "CQRS__COMMAND__EVENT_PUBLICATION"),
        ({"cqrs": {"authorization": {"enabled": False}}}, "CQRS__AUTHORIZATION__ENABLED"),
        ({"cqrs": {"authorization": {"custom": {"enabled": False}}}}, "CQRS__AUTHORIZATION__CUSTOM__ENABLED"),
        ({"cache_url": "memory://", "cache_settle_ms": 0}, "CACHE_SETTLE_MS"),
    ],
)
def test_each_word_that_weakens_a_promise_is_named(changed: dict[str, Any], name: str) -> None:
    (sentence,) = found(**changed)

    assert sentence.startswith(f"{name} ")
    assert ": " in sentence
