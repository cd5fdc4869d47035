"""The Kafka clients of a service, made as its settings say."""

from collections.abc import Collection, Iterable

from cqrs.config.settings import ServiceSettings
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.group_admin import GroupAdmin
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.record_reader import RecordReader
from cqrs.kafka.security import security_options
from cqrs.kafka.topic_admin import TopicAdmin
from cqrs.kafka.topic_reader import KafkaTopicReader
from cqrs.messaging.message import TopicPartition

FETCH_SECONDS = 0.5
"""How long a broker may keep a fetch that finds nothing new."""

EMBEDDED_FETCH_SECONDS = 0.02
"""How long the embedded broker may keep a fetch: its long poll is not woken by a produce."""

ENVELOPE_HEADROOM_BYTES = 64 * 1024
"""What an event's key and headers may add to its value."""


def new_producer(settings: ServiceSettings, bootstrap_servers: str) -> KafkaProducer:
    """Return what sends events and dead letters."""
    return KafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        send_timeout_seconds=settings.kafka_request_timeout_ms / 1000,
        max_message_bytes=settings.max_message_bytes + ENVELOPE_HEADROOM_BYTES,
    )


def new_consumer(
    settings: ServiceSettings, bootstrap_servers: str, topics: Iterable[str], group_id: str
) -> KafkaConsumer:
    """Return what reads commands from `topics` as a member of a group."""
    return KafkaConsumer(
        tuple(topics),
        group_id,
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        max_poll_records=settings.kafka_max_poll_records,
        group_instance_id=settings.kafka_group_instance_id,
        session_timeout_seconds=settings.kafka_session_timeout_ms / 1000,
        rebalance_timeout_seconds=settings.kafka_rebalance_timeout_ms / 1000,
        request_timeout_seconds=settings.kafka_request_timeout_ms / 1000,
        fetch_max_wait_seconds=_fetch_seconds(settings),
    )


def new_topic_admin(settings: ServiceSettings, bootstrap_servers: str) -> TopicAdmin:
    """Return what looks at topics and makes them."""
    return TopicAdmin(
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        timeout_seconds=settings.kafka_request_timeout_ms / 1000,
    )


def new_group_admin(settings: ServiceSettings, bootstrap_servers: str) -> GroupAdmin:
    """Return what looks at groups from outside."""
    return GroupAdmin(
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        timeout_seconds=settings.kafka_request_timeout_ms / 1000,
    )


def new_record_reader(
    settings: ServiceSettings, bootstrap_servers: str, partitions: Collection[TopicPartition]
) -> RecordReader:
    """Return what reads chosen records of `partitions` beside all groups."""
    return RecordReader(
        partitions,
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        timeout_seconds=settings.kafka_request_timeout_ms / 1000,
        fetch_max_wait_seconds=_fetch_seconds(settings),
    )


def new_topic_reader(settings: ServiceSettings, bootstrap_servers: str, topics: Iterable[str]) -> KafkaTopicReader:
    """Return what reads every record of `topics` beside the group."""
    return KafkaTopicReader(
        sorted(set(topics)),
        bootstrap_servers=bootstrap_servers,
        client_id=settings.kafka_client_id,
        security=security_options(settings),
        request_timeout_seconds=settings.kafka_request_timeout_ms / 1000,
        fetch_max_wait_seconds=_fetch_seconds(settings),
    )


def _fetch_seconds(settings: ServiceSettings) -> float:
    return EMBEDDED_FETCH_SECONDS if settings.kafka_bootstrap_servers is None else FETCH_SECONDS
