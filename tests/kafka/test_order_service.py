"""The whole order service on a real Apache Kafka: alone, with PostgreSQL, and two members that share the partitions."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cqrs.sql.migrating import migrate
from cqrs.testing.outside_client import OutsideClient, Received
from cqrs.testing.postgres_server import PostgresServer, find_postgres
from service.adapters.schema import MIGRATIONS
from service.application.get_order import GetOrder
from service.bootstrap import order_service
from service.settings import EVENTS, OrderSettings

SECONDS = 60.0


@pytest.fixture(scope="module")
def events_topic(kafka_bootstrap: str) -> str:
    """Create the topic that the order service's handlers name."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    if EVENTS not in admin.list_topics(timeout=SECONDS).topics:
        admin.create_topics([NewTopic(EVENTS, num_partitions=3)])[EVENTS].result(SECONDS)
    return EVENTS


@pytest.fixture
def commands(create_topics: Callable[..., list[str]], kafka_bootstrap: str, events_topic: str) -> str:
    """Create a command topic of the test's own, with its dead letter topic."""
    (name,) = create_topics("orders.commands", partitions=6)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.create_topics([NewTopic(f"{name}-dlt", num_partitions=6)])[f"{name}-dlt"].result(SECONDS)
    return name


@pytest.fixture
def settings(kafka_bootstrap: str, commands: str, tmp_path: Path) -> Callable[..., OrderSettings]:
    def make(**changed: object) -> OrderSettings:
        given: dict[str, object] = {
            "kafka_bootstrap_servers": kafka_bootstrap,
            "kafka_group_id": commands,
            "kafka_session_timeout_ms": 6_000,
            "command_topics": (commands,),
            "topics": {EVENTS: 3},
            "state_path": tmp_path,
            "management_port": 0,
            "log_level": "ERROR",
        }
        return OrderSettings(**(given | changed))  # type: ignore[arg-type]

    return make


def send_orders(bootstrap: str, topic: str, prefix: str, count: int) -> None:
    """Create `count` orders and add an item to each, interleaved, keyed by the order."""
    producer = Producer({"bootstrap.servers": bootstrap})
    item = {"sku": "A", "quantity": 1, "unit_price": "1.00"}
    for number in range(count):
        key = f"{prefix}-{number}"
        create = {"order_id": key, "customer_id": "c", "items": [item], "currency": "EUR"}
        for name, data in (("orders.CreateOrder", create), ("orders.AddItem", {"order_id": key, "item": item})):
            producer.produce(topic, json.dumps({"type": name, "data": data}), key=key)
    assert producer.flush(SECONDS) == 0


def events_of(client: OutsideClient, prefix: str, count: int) -> list[Received]:
    """Read on until there are `count` events of the prefix's orders."""
    with client.reader([EVENTS]) as reader:
        found: list[Received] = []
        while len(found) < count:
            found += [each for each in reader.poll() if (each.message.key or b"").startswith(prefix.encode())]
    return found


async def events(client: OutsideClient, prefix: str, count: int) -> list[Received]:
    return await asyncio.wait_for(asyncio.to_thread(events_of, client, prefix, count), SECONDS)


def versions(found: list[Received]) -> dict[bytes | None, list[object]]:
    by_order: dict[bytes | None, list[object]] = {}
    for each in found:
        assert isinstance(each.value, dict)
        by_order.setdefault(each.message.key, []).append(each.value["version"])
    return by_order


@pytest.mark.asyncio
async def test_commands_become_events_in_order_per_key(
    settings: Callable[..., OrderSettings], commands: str, kafka_bootstrap: str
) -> None:
    async with order_service(settings()) as service:
        with OutsideClient(kafka_bootstrap, service.registry_url) as client:
            await asyncio.to_thread(send_orders, kafka_bootstrap, commands, "plain", 50)
            found = await events(client, "plain", 100)
            letters = await asyncio.to_thread(client.read, [f"{commands}-dlt"])

    assert letters == []
    assert set(map(str, versions(found).values())) == {"[1, 2]"}


@pytest.fixture
def postgres_url() -> Iterator[str]:
    if find_postgres() is None:
        pytest.skip(
            "PostgreSQL's server is not installed. To run this: apt-get install -y postgresql; pytest tests/kafka"
        )
    with PostgresServer() as server:
        yield server.url()


@pytest.mark.postgres
@pytest.mark.asyncio
async def test_the_state_is_in_postgresql(
    settings: Callable[..., OrderSettings], commands: str, kafka_bootstrap: str, postgres_url: str
) -> None:
    await migrate(postgres_url, MIGRATIONS)
    async with order_service(settings(database_url=postgres_url)) as service:
        with OutsideClient(kafka_bootstrap, service.registry_url) as client:
            await asyncio.to_thread(send_orders, kafka_bootstrap, commands, "pg", 5)
            await events(client, "pg", 10)
        await service.stop_consuming()
        order = await service.query_bus.query(GetOrder("pg-0"))

    assert order is not None
    assert order.version == 2


@pytest.mark.asyncio
async def test_a_member_that_joins_and_one_that_leaves_lose_and_repeat_nothing(
    settings: Callable[..., OrderSettings], commands: str, kafka_bootstrap: str
) -> None:
    first, second = order_service(settings()), order_service(settings())
    async with first:
        with OutsideClient(kafka_bootstrap, first.registry_url) as client:
            await asyncio.to_thread(send_orders, kafka_bootstrap, commands, "shared", 100)
            await events(client, "shared", 20)
            async with second:
                await second.ready()
                await asyncio.to_thread(send_orders, kafka_bootstrap, commands, "later", 50)
                await first.stop_consuming()
                found = await events(client, "shared", 200) + await events(client, "later", 100)
            letters = await asyncio.to_thread(client.read, [f"{commands}-dlt"])

    assert letters == []
    counts = Counter(dict(each.message.headers)["ce_id"] for each in found)
    assert set(counts.values()) == {1}, "who leaves in order commits what it did: nothing is repeated"
    assert set(map(str, versions(found).values())) == {"[1, 2]"}


@pytest.mark.parametrize(
    ("name", "value", "compression"),
    [
        ("as large as the broker takes", os.urandom(1_048_576 - 600), "none"),
        ("large and compressed", b" " * 3_000_000, "zstd"),
    ],
)
@pytest.mark.asyncio
async def test_a_record_that_leaves_no_room_for_its_cause_is_settled_and_blocks_nobody(
    settings: Callable[..., OrderSettings],
    commands: str,
    kafka_bootstrap: str,
    name: str,
    value: bytes,
    compression: str,
) -> None:
    options = {
        "bootstrap.servers": kafka_bootstrap,
        "message.max.bytes": 16_000_000,
        "compression.type": compression,
    }
    producer = Producer(options)
    producer.produce(commands, value, key=name, headers=[("ce_type", b"orders.CreateOrder")])
    assert producer.flush(SECONDS) == 0
    async with order_service(settings()) as service:
        with OutsideClient(kafka_bootstrap, service.registry_url) as client:
            await asyncio.to_thread(send_orders, kafka_bootstrap, commands, name, 1)
            await events(client, name, 2)
            letters = await asyncio.to_thread(client.read, [f"{commands}-dlt"])

    (letter,) = [each.message for each in letters]
    headers = dict(letter.headers)
    assert letter.key == name.encode()
    assert headers["kafka_dlt-exception-fqcn"] == b"cqrs.exceptions.UndecodableMessageException"
    assert letter.value == value or headers["cqrs-dead-letter-omitted-bytes"] == str(len(value)).encode()
