"""Events of one aggregate stay in order although their route names no key: they take the key of their command."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

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

AGGREGATES, EACH = 6, 20


@dataclass(frozen=True)
class Counted:
    """Say which count of its aggregate this is."""

    event_type: ClassVar[str] = "t.Counted"
    what: str


@message_type("t.Count")
@dataclass(frozen=True)
class Count(Command[str]):
    """Ask for a count."""

    what: str


@publish_domain_event(EVENTS)
@command_handler
@service
class CountHandler(CommandHandler[Count, str]):
    """Publish without a key of its own."""

    async def do_handle(self, command: Count) -> str:
        emit(Counted(command.what))
        return command.what


@pytest.mark.asyncio
async def test_the_events_of_a_key_are_in_one_partition_in_the_order_of_their_commands(tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    for name in ("Count", "Counted"):
        schema = {"type": "record", "namespace": "t", "name": name, "fields": [{"name": "what", "type": "string"}]}
        (schemas / f"t.{name}.avsc").write_text(json.dumps(schema), "utf-8")
    settings = settings_in(tmp_path, topics={COMMANDS: 1, EVENTS: 4}, command_topics=(COMMANDS,), schemas_path=schemas)
    parts = ServiceParts(packages=(__name__,), events=(__name__,))
    async with deployed(Service(settings, parts)) as found:
        for number in range(EACH):
            for aggregate in range(AGGREGATES):
                value = json.dumps({"what": f"{number}"}).encode()
                await found.produce(value, (("ce_type", b"t.Count"),), key=f"a-{aggregate}".encode())
        events = [each.message for each in await found.events(AGGREGATES * EACH)]

    for aggregate in range(AGGREGATES):
        own = [each for each in events if each.key == f"a-{aggregate}".encode()]
        assert len({each.partition for each in own}) == 1
        assert [json.loads(each.value or b"")["what"] for each in own] == [str(number) for number in range(EACH)]
