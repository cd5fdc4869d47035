"""Our formats keep the contract: JSON, and Avro with a schema registry."""

from pathlib import Path

import pytest

from cqrs.avro.decoder import AvroDecoder
from cqrs.avro.encoder import AvroEncoder
from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.avro.schemas import AvroSchemas
from cqrs.serialization.json import JsonDecoder, JsonEncoder
from cqrs.testing.contracts.message_format import SAMPLE_SCHEMA, MessageFormat, MessageFormatContract


class TestJson(MessageFormatContract):
    @pytest.fixture
    def message_format(self) -> MessageFormat:
        return MessageFormat(JsonEncoder(), JsonDecoder())


class TestAvro(MessageFormatContract):
    @pytest.fixture
    def message_format(self, tmp_path: Path) -> MessageFormat:
        (tmp_path / "contract.Sample.avsc").write_text(SAMPLE_SCHEMA, "utf-8")
        schemas, registry = AvroSchemas.load(tmp_path), FileSchemaRegistry()
        return MessageFormat(AvroEncoder(schemas, registry), AvroDecoder(schemas, registry))
