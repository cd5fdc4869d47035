"""Every schema registry keeps the contract: ours in memory and in a folder, ours over HTTP by Confluent's client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.http.schema_registry import schema_registry_app
from cqrs.http.server import ThreadedServer
from cqrs.messaging.schemas import SchemaRegistry
from cqrs.testing.contracts.schema_registry import SchemaRegistryContract


class TestRegistryInMemory(SchemaRegistryContract):
    @pytest.fixture
    def registry(self) -> SchemaRegistry:
        return FileSchemaRegistry()


class TestRegistryInAFolder(SchemaRegistryContract):
    @pytest.fixture
    def registry(self, tmp_path: Path) -> SchemaRegistry:
        return FileSchemaRegistry(tmp_path)


class TestConfluentClientOnOurServer(SchemaRegistryContract):
    @pytest_asyncio.fixture
    async def registry(self, tmp_path: Path) -> AsyncIterator[SchemaRegistry]:
        server = ThreadedServer(schema_registry_app(FileSchemaRegistry(tmp_path)))
        await server.start()
        client = ConfluentSchemaRegistry(server.url)
        yield client
        await client.close()
        await server.stop()
