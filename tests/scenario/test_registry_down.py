"""While the schema registry is away a record of an unknown schema waits, spends no attempt, and the rest goes on."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from service.bootstrap import order_service
from service.settings import COMMANDS
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed, settings_in

SCHEMA = Path("schemas/commands/orders.CreateOrder.avsc").read_text("utf-8")


class Registry:
    """Serve a registry that may go and come back at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ThreadedServer(schema_registry_app(FileSchemaRegistry(folder)))
        self.url = ""

    async def start(self) -> None:
        port = urlsplit(self.url).port or 0
        self._server = ThreadedServer(schema_registry_app(FileSchemaRegistry(self._folder)), port=port)
        await self._server.start()
        self.url = self._server.url

    async def stop(self) -> None:
        await self._server.stop()


@asynccontextmanager
async def registry(folder: Path) -> AsyncIterator[Registry]:
    found = Registry(folder / "registry")
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


def order(order_id: str) -> dict[str, object]:
    item = {"sku": "A", "quantity": 1, "unit_price": "1.00"}
    return {"order_id": order_id, "customer_id": "c", "items": [item], "currency": "EUR"}


async def json_order(found: Deployed, order_id: str, partition: int = 0) -> None:
    value = json.dumps(order(order_id)).encode()
    await found.produce(value, (("ce_type", b"orders.CreateOrder"),), key=order_id.encode(), partition=partition)


@pytest.mark.asyncio
async def test_an_unknown_schema_waits_and_everything_else_is_handled(tmp_path: Path) -> None:
    async with registry(tmp_path) as schemas:
        service = order_service(settings_in(tmp_path, schema_registry_url=schemas.url, retry_max_attempts=1))
        async with deployed(service) as found:
            unknown = json.dumps(json.loads(SCHEMA) | {"doc": "As another version of the sender writes it."})
            first, second, third = (
                found.client.encode_avro(COMMANDS, order(name), schema)
                for name, schema in (("o-known", SCHEMA), ("o-again", SCHEMA), ("o-unknown", unknown))
            )
            await found.produce(first, key=b"o-known")
            await found.events(1)
            await schemas.stop()
            await found.produce(third, key=b"o-unknown")
            await found.unready("schema registry")
            await found.produce(second, key=b"o-again", partition=1)
            await json_order(found, "o-json", partition=2)
            events = await found.events(3)
            assert {each.message.key for each in events} == {b"o-known", b"o-again", b"o-json"}
            await schemas.start()
            events = await found.events(4)
            letters = found.client.read([DEAD_LETTERS])

    assert b"o-unknown" in {each.message.key for each in events}
    assert letters == []


@pytest.mark.asyncio
async def test_a_service_that_starts_without_its_registry_waits_for_it_and_loses_nothing(tmp_path: Path) -> None:
    async with registry(tmp_path) as schemas:
        await schemas.stop()
        service = order_service(settings_in(tmp_path, schema_registry_url=schemas.url, retry_max_attempts=1))
        async with deployed(service) as found:
            await json_order(found, "o-1")
            await found.unready("schema registry")
            await schemas.start()
            (event,) = await found.events(1)
            letters = found.client.read([DEAD_LETTERS])

    assert event.message.key == b"o-1"
    assert letters == []
