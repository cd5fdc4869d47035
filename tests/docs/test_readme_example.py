"""The README's program runs as it is printed: its command arrives as the schema in the repository has it."""

import asyncio
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.testing.embedded_broker import EmbeddedBroker
from cqrs.testing.outside_client import OutsideClient, Received

ROOT = Path(__file__).parents[2]
TOPIC = "orders.commands"


def run_example(program: str, bootstrap_servers: str, registry_url: str) -> list[Received]:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "SCHEMA_REGISTRY_URL": registry_url}
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, timeout=60)  # noqa: S603
    with OutsideClient(bootstrap_servers, registry_url) as client, client.reader([TOPIC]) as reader:
        return reader.to_end()


@pytest.mark.asyncio
async def test_the_avro_example_puts_a_create_order_on_the_command_topic() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
    registry = ThreadedServer(schema_registry_app(FileSchemaRegistry()))
    await registry.start()
    try:
        with EmbeddedBroker() as broker:
            broker.create_topic(TOPIC, partitions=3)
            (received,) = await asyncio.to_thread(run_example, program, broker.bootstrap_servers, registry.url)
    finally:
        await registry.stop()

    assert received.message.key == b"o-2"
    assert received.value == {
        "order_id": "o-2",
        "customer_id": "c-1",
        "items": [{"sku": "A", "quantity": 2, "unit_price": Decimal("9.99")}],
        "currency": "EUR",
    }
