"""The order service as a process of its own, on an embedded broker that outlives it."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.settings import COMMANDS, PARTITIONS

DEADLINE = 60


@asynccontextmanager
async def running(broker: EmbeddedBroker, state: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service as its own process, as an operator does."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "KAFKA_SESSION_TIMEOUT_MS": "1000",
        "STATE_PATH": str(state),
        "MANAGEMENT_PORT": "0",
        "LOG_LEVEL": "WARNING",
        "SHUTDOWN_TIMEOUT_SECONDS": "5",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "run", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def killed(process: asyncio.subprocess.Process) -> None:
    """End the process as a crash does."""
    process.kill()
    await asyncio.wait_for(process.wait(), DEADLINE)


async def stopped(process: asyncio.subprocess.Process) -> int:
    """End the process as an orchestrator does, and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), DEADLINE)


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
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "orders"})
    try:
        partitions = [TopicPartition(COMMANDS, number) for number in range(PARTITIONS)]
        return sum(max(each.offset, 0) for each in consumer.committed(partitions, DEADLINE))
    finally:
        consumer.close()


def send(broker: EmbeddedBroker, count: int) -> None:
    """Send `count` CreateOrders, each keyed by its order."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(count):
        producer.produce(COMMANDS, create(number), key=f"o-{number}")
    assert producer.flush(DEADLINE) == 0
