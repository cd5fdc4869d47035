"""An event with times, decimals, ids and nested values is published whole, or fails its command: nothing is dropped."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import pytest

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.runtime import Service, ServiceParts
from cqrs.types import Command, message_type
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import deployed, settings_in

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
OWN_ID = UUID("0b7c5f0e-6d1f-5c0b-8f58-2f2e0a1f7a4d")


@dataclass(frozen=True)
class Line:
    """Be nested."""

    price: Decimal


@dataclass(frozen=True)
class Rich:
    """Hold one value of each kind that does not come from JSON."""

    event_type: ClassVar[str] = "t.Rich"
    own_id: UUID
    at: datetime
    lines: tuple[Line, ...]


@message_type("t.Make")
@dataclass(frozen=True)
class Make(Command[str]):
    """Ask for an event."""

    naive: bool


@publish_domain_event(EVENTS, message_format="avro")
@command_handler
@service
class MakeHandler(CommandHandler[Make, str]):
    """Publish it, with a time zone or without."""

    async def do_handle(self, command: Make) -> str:
        at = MOMENT.replace(tzinfo=None) if command.naive else MOMENT
        emit(Rich(OWN_ID, at, (Line(Decimal("9.99")), Line(Decimal("0.01")))))
        return "made"


def schemas(folder: Path) -> Path:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    line = {"type": "record", "name": "Line", "fields": [{"name": "price", "type": decimal}]}
    fields = [
        {"name": "own_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "lines", "type": {"type": "array", "items": line}},
    ]
    for name, found in (("Rich", fields), ("Make", [{"name": "naive", "type": "boolean"}])):
        schema = {"type": "record", "namespace": "t", "name": name, "fields": found}
        (folder / f"t.{name}.avsc").write_text(json.dumps(schema), "utf-8")
    return folder


@pytest.mark.asyncio
async def test_it_arrives_whole_and_what_cannot_be_written_refuses_its_command(tmp_path: Path) -> None:
    settings = settings_in(
        tmp_path, topics={COMMANDS: 1, EVENTS: 1}, command_topics=(COMMANDS,), schemas_path=schemas(tmp_path)
    )
    parts = ServiceParts(packages=(__name__,), events=(__name__,))
    async with deployed(Service(settings, parts)) as found:
        for naive in (True, False):
            await found.produce(
                json.dumps({"naive": naive}).encode(), (("ce_type", b"t.Make"),), key=str(naive).encode()
            )
        (event,) = await found.events(1)
        (letter,) = await found.letters(1)

    assert isinstance(event.value, dict)
    assert event.value["at"] == MOMENT
    assert str(event.value["own_id"]) == str(OWN_ID)
    assert [each["price"] for each in event.value["lines"]] == [Decimal("9.99"), Decimal("0.01")]
    assert letter.key == b"True"
    assert b"at: is a datetime without an offset" in (dict(letter.headers)["kafka_dlt-exception-message"] or b"")
