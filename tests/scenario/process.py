"""The order service as a process of its own, on an embedded broker that outlives it."""

import json
import time
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_groups import committed_offsets
from cqrs.testing.service_process import ServiceProcess
from service.settings import COMMANDS, PARTITIONS

DEADLINE = 60


def running(broker: EmbeddedBroker, state: Path, crash_at: str | None = None, **settings: object) -> ServiceProcess:
    """Return what runs the service as its own process, as an operator does."""
    return ServiceProcess(
        "service",
        crash_at=crash_at,
        settings={
            "kafka_bootstrap_servers": broker.bootstrap_servers,
            "kafka_session_timeout_ms": 1_010,
            "state_path": state,
            "management_port": 0,
            "log_level": "WARNING",
            "shutdown_timeout_seconds": 5,
            **settings,
        },
    )


def create(number: int) -> bytes:
    """Return a CreateOrder as JSON."""
    item = {"sku": "A", "quantity": 1, "unit_price": "1.00"}
    data = {"order_id": f"o-{number}", "customer_id": "c", "items": [item], "currency": "EUR"}
    return json.dumps({"type": "orders.CreateOrder", "data": data}).encode()


def keys(broker: EmbeddedBroker, topic: str, at_least: int = 0) -> list[str]:
    """Return the keys of `topic`, to its present end and until there are `at_least` so many."""
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader", "enable.partition.eof": True}
    )
    unread = set(range(PARTITIONS))
    found: list[str] = []
    deadline = time.monotonic() + DEADLINE
    try:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in unread])
        while unread or len(found) < at_least:
            assert time.monotonic() < deadline, f"{topic} held only {len(found)} records"
            record = consumer.poll(0.1)
            if record is None:
                continue
            error = record.error()
            if error is None:
                found.append((record.key() or b"").decode())
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(record.partition() or 0)
        return found
    finally:
        consumer.close()


def committed(broker: EmbeddedBroker) -> int:
    """Return how many commands the group has committed, as the broker knows it."""
    return sum(committed_offsets(broker.bootstrap_servers, "orders", COMMANDS, timeout_seconds=DEADLINE).values())


def send(broker: EmbeddedBroker, count: int) -> None:
    """Send `count` CreateOrders, each keyed by its order."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(count):
        producer.produce(COMMANDS, create(number), key=f"o-{number}")
    assert producer.flush(DEADLINE) == 0
