"""The broker is killed under the running service: nothing is lost, and the same process goes on when it is back."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.testing.kafka_server import KafkaServer
from service.settings import EVENTS
from tests.conftest import MEASURED

SECONDS = 120.0
PARTITIONS = 3
SHUTDOWN_SECONDS = 10.0
IN_HAND = 100
"""`MAX_IN_FLIGHT`, where nothing else is said."""


@pytest.fixture
def commands(create_topics: Callable[..., list[str]], kafka_bootstrap: str) -> str:
    """Create a command topic of the test's own, with its dead letter topic, and the topic of events."""
    (name,) = create_topics("orders.commands", partitions=PARTITIONS)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    missing = {f"{name}-dlt", EVENTS} - admin.list_topics(timeout=SECONDS).topics.keys()
    for created in admin.create_topics([NewTopic(each, num_partitions=PARTITIONS) for each in missing]).values():
        created.result(SECONDS)
    return name


@asynccontextmanager
async def service(bootstrap: str, commands: str, state: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the service as its own process, as an operator does."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA_GROUP_ID": commands,
        "KAFKA_SESSION_TIMEOUT_MS": "6000",
        "COMMAND_TOPICS": commands,
        "TOPICS": f"{EVENTS}={PARTITIONS}",
        "STATE_PATH": str(state),
        "MANAGEMENT_PORT": "0",
        "LOG_LEVEL": "CRITICAL",
        "SHUTDOWN_TIMEOUT_SECONDS": str(SHUTDOWN_SECONDS),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "run",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stopped(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), SECONDS)


def send(bootstrap: str, topic: str, prefix: str, numbers: range) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    item = {"sku": "A", "quantity": 1, "unit_price": "1.00"}
    for number in numbers:
        order = {"order_id": f"{prefix}-{number}", "customer_id": "c", "items": [item], "currency": "EUR"}
        value = json.dumps({"type": "orders.CreateOrder", "data": order})
        producer.produce(topic, value, key=f"{prefix}-{number}")
    assert producer.flush(SECONDS) == 0


class Events:
    """Read the events of one test's orders, and when each was seen first."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 2})
        self._consumer.assign([TopicPartition(EVENTS, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
        self._prefix = prefix.encode()
        self.keys: Counter[bytes] = Counter()
        self.ids: dict[bytes, set[bytes]] = {}

    async def until(self, count: int) -> None:
        """Return when the events of `count` different orders have been seen."""
        await asyncio.wait_for(asyncio.to_thread(self._read, lambda: len(self.keys) >= count), SECONDS)

    async def settle(self) -> None:
        """Read on until nothing more comes for a while: what is repeated late counts too."""
        await asyncio.to_thread(self._read, lambda: False, patience=2.0)

    def close(self) -> None:
        self._consumer.close()

    def _read(self, enough: Callable[[], bool], patience: float = SECONDS) -> None:
        deadline = time.monotonic() + patience
        while not enough() and time.monotonic() < deadline:
            record = self._consumer.poll(0.2)
            if record is None or record.error() is not None or not (record.key() or b"").startswith(self._prefix):
                continue
            key = bytes(record.key() or b"")
            self.keys[key] += 1
            headers: dict[str, bytes] = dict(record.headers() or ())  # type: ignore[arg-type]
            self.ids.setdefault(key, set()).add(headers["ce_id"])


@contextmanager
def reading(bootstrap: str, prefix: str) -> Iterator[Events]:
    events = Events(bootstrap, prefix)
    try:
        yield events
    finally:
        events.close()


def count_of(bootstrap: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "counter"})
    try:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, each), SECONDS)[1] for each in range(PARTITIONS)]
        return sum(ends)
    finally:
        consumer.close()


@pytest.mark.asyncio
async def test_a_broker_that_is_killed_and_back_after_8_s_is_used_again_by_the_same_process_within_30_s(
    kafka_server: KafkaServer,
    kafka_bootstrap: str,
    commands: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    total = 3_000
    send(kafka_bootstrap, commands, "bounced", range(total))
    with reading(kafka_bootstrap, "bounced") as events:
        async with service(kafka_bootstrap, commands, tmp_path) as process:
            await events.until(200)
            killed = time.monotonic()
            kafka_server.kill()
            before = len(events.keys)
            await asyncio.sleep(8.0 - (time.monotonic() - killed))  # the outage itself
            await asyncio.to_thread(kafka_server.start)
            back = time.monotonic()
            await events.until(min(before + 400, total))
            resumed = time.monotonic() - killed
            await events.until(total)
            await events.settle()
            assert process.returncode is None
            assert await stopped(process) == 0
    letters = await asyncio.to_thread(count_of, kafka_bootstrap, f"{commands}-dlt")
    repeats = sum(events.keys.values()) - len(events.keys)
    record_property(
        MEASURED,
        f"broker away for {back - killed:.1f} s: events again {resumed:.1f} s after the kill, 0 lost, "
        f"{repeats} events and {letters} commands repeated",
    )
    assert resumed < 30.0
    assert len(events.keys) == total
    assert all(len(ids) == 1 for ids in events.ids.values()), "a repeated event carries the same id"
    assert letters <= IN_HAND, "only what was in hand may be delivered again, and refused as a repeat of itself"


@pytest.mark.asyncio
async def test_all_brokers_away_for_60_s_lose_nothing_and_sigterm_ends_within_its_budget(
    kafka_server: KafkaServer,
    kafka_bootstrap: str,
    commands: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    total = 2_000
    send(kafka_bootstrap, commands, "away", range(total))
    with reading(kafka_bootstrap, "away") as events:
        async with service(kafka_bootstrap, commands, tmp_path) as process:
            await events.until(200)
            kafka_server.kill()
            killed = time.monotonic()
            await asyncio.sleep(60.0)  # the outage itself
            assert process.returncode is None
            await asyncio.to_thread(kafka_server.start)
            back = time.monotonic()
            await events.until(1_000)
            resumed = time.monotonic() - back
            kafka_server.kill()
            begun = time.monotonic()
            code = await stopped(process)
            stopping = time.monotonic() - begun
        await asyncio.to_thread(kafka_server.start)
        async with service(kafka_bootstrap, commands, tmp_path) as process:
            await events.until(total)
            assert await stopped(process) == 0
    record_property(
        MEASURED,
        f"all brokers away for {back - killed:.0f} s: 0 lost, events again {resumed:.1f} s after they were back; "
        f"SIGTERM while away: ended after {stopping:.1f} s of {SHUTDOWN_SECONDS:g} s and 5 s for the rest",
    )
    assert code == 0
    assert stopping < SHUTDOWN_SECONDS + 5.0
    assert len(events.keys) == total
    assert all(len(ids) == 1 for ids in events.ids.values()), "a repeated event carries the same id"
