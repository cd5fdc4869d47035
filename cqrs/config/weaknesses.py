"""Say which settings weaken a promise: each of them was chosen by an explicit word."""

from collections.abc import Iterator

from cqrs.config.settings import ServiceSettings

_DEAD_LETTER_HOURS = 24


def weaknesses(settings: ServiceSettings) -> Iterator[str]:
    """Yield a sentence for each setting that weakens a promise: the setting, what it is, and what no longer holds."""
    yield from settings.weaknesses()
    yield from settings.registry_weaknesses()
    yield from _of_delivery(settings)
    yield from _of_the_buses(settings)
    yield from _of_where_it_runs(settings)


def _of_delivery(settings: ServiceSettings) -> Iterator[str]:
    for topic in settings.retry_topics:
        yield f"RETRY_TOPICS names {topic}: records of one key that fail are overtaken by later ones"
    if settings.breaker_keys == 0:
        yield "BREAKER_KEYS is 0: a handler that fails for every key is called all the same, and its records given up"
    if settings.dead_letter_retention_hours < _DEAD_LETTER_HOURS:
        yield (
            f"DEAD_LETTER_RETENTION_HOURS is {settings.dead_letter_retention_hours:g}: what was refused in the evening "
            "may be gone in the morning"
        )
    if settings.topic_replication == 1:
        yield "TOPIC_REPLICATION is 1: a broker whose disk is lost takes its records with it"
    if settings.topic_min_insync_replicas == 1:
        yield "TOPIC_MIN_INSYNC_REPLICAS is 1: an acknowledged record may stand on one broker alone"


def _of_the_buses(settings: ServiceSettings) -> Iterator[str]:
    cqrs = settings.cqrs
    if cqrs.command.event_publication == "lenient":
        yield "CQRS__COMMAND__EVENT_PUBLICATION is lenient: an event that cannot be published is lost, its state stays"
    if not cqrs.authorization.enabled:
        yield "CQRS__AUTHORIZATION__ENABLED is false: every command and query passes"
    elif not cqrs.authorization.custom.enabled:
        yield "CQRS__AUTHORIZATION__CUSTOM__ENABLED is false: no authorization hook is asked"
    if settings.cache_url is not None and settings.cache_settle_ms == 0:
        yield "CACHE_SETTLE_MS is 0: an answer from before a commit may be kept behind it"


def _of_where_it_runs(settings: ServiceSettings) -> Iterator[str]:
    if settings.kafka_bootstrap_servers is None:
        yield "KAFKA_BOOTSTRAP_SERVERS is not set: the embedded broker keeps nothing when the service stops"
    elif settings.kafka_security_protocol == "PLAINTEXT":
        yield "KAFKA_SECURITY_PROTOCOL is PLAINTEXT: whoever reaches the network may read and write every record"
    if settings.database_url is None:
        yield "DATABASE_URL is not set: the state is in a file of this machine, and replicas do not share it"
    if settings.database_schema == "allow_newer":
        yield "DATABASE_SCHEMA is allow_newer: the service starts on a database whose version it does not know"
