"""A handler that raises, exits, hangs or answers wrongly costs its own command, which is put aside; nothing else."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.message import Message
from cqrs.runtime import Service
from cqrs.types import Command, message_type
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed

TOPICS = {COMMANDS: 1, EVENTS: 1}


@dataclass(frozen=True)
class Undeclared:
    """Be an event without a name, and so without a schema."""

    order_id: str


@dataclass(frozen=True)
class Declared:
    """Be an event with a schema."""

    event_type: ClassVar[str] = "t.Declared"
    order_id: str


class UnreadableException(Exception):
    """Be an error whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("not even that")


@message_type("t.Do")
@dataclass(frozen=True)
class Do(Command[str]):
    """Ask for what `how` says."""

    how: str


@publish_domain_event(EVENTS, message_format="avro", key="order_id")
@command_handler(timeout=1)
@service
class DoHandler(CommandHandler[Do, str]):
    """Misbehave as told."""

    async def do_handle(self, command: Do) -> str:
        emit(Undeclared("o-1") if command.how == "undeclared event" else Declared("o-1"))
        if command.how == "raise":
            raise RuntimeError("broken on purpose")
        if command.how == "exit":
            sys.exit(3)
        if command.how == "say nothing":
            raise UnreadableException
        if command.how == "hang":
            await asyncio.Event().wait()
        if command.how == "answer":
            return 7  # type: ignore[return-value]
        return "done"


def write_schemas(folder: Path) -> Path:
    for name, kind in (("t.Do", "how"), ("t.Declared", "order_id")):
        namespace, _, short = name.partition(".")
        fields = [{"name": kind, "type": "string"}]
        schema = {"type": "record", "name": short, "namespace": namespace, "fields": fields}
        (folder / f"{name}.avsc").write_text(json.dumps(schema), encoding="utf-8")
    return folder


async def refused(found: Deployed, how: str) -> dict[str, bytes | None]:
    """Send a command that misbehaves and one that does not; return the first one's dead letter headers."""
    for each in (how, "well"):
        await found.produce(json.dumps({"how": each}).encode(), (("ce_type", b"t.Do"), ("ce_id", each.encode())))
    await found.events(1)
    (letter,) = await found.letters(1)
    return dict(letter.headers)


@pytest.mark.parametrize(
    ("how", "cause", "says"),
    [
        ("raise", b"builtins.RuntimeError", "broken on purpose"),
        ("exit", b"builtins.SystemExit", "SystemExit"),
        ("say nothing", b"UnreadableException", "UnreadableException (its message cannot be read"),
        ("hang", b"cqrs.exceptions.HandlerTimeoutException", "within 1 s"),
        ("answer", b"UnexpectedResult", "int"),
        ("undeclared event", b"cqrs.exceptions.UnpublishableEventException", "Undeclared"),
    ],
)
@pytest.mark.asyncio
async def test_the_command_is_refused_with_its_true_cause_and_the_next_one_is_handled(
    service_of: Callable[..., Service], tmp_path: Path, how: str, cause: bytes, says: str
) -> None:
    made = service_of(
        sys.modules[__name__], topics=TOPICS, command_topics=(COMMANDS,), schemas_path=write_schemas(tmp_path)
    )
    async with deployed(made) as found:
        headers = await refused(found, how)
        events: list[Message] = [each.message for each in await found.events(1)]

    assert cause in (headers["kafka_dlt-exception-cause-fqcn"] or b"")
    assert says in (headers["kafka_dlt-exception-message"] or b"").decode()
    assert [dict(each.headers)["ce_causationid"] for each in events] == [b"well"], "a refused command publishes nothing"


@pytest.mark.asyncio
async def test_two_handlers_of_one_command_stop_the_start(service_of: Callable[..., Service], tmp_path: Path) -> None:
    twice = ModuleType("twice")
    for name in ("First", "Second"):
        handler = type(name, (DoHandler,), {"__module__": "twice"})
        setattr(twice, name, command_handler(handler))

    made = service_of(twice, topics=TOPICS, command_topics=(COMMANDS,), schemas_path=write_schemas(tmp_path))
    with pytest.raises(ConfigurationException, match=r"(?s)First.*Second.*priority"):
        await made.start()


@pytest.mark.asyncio
async def test_every_event_and_destination_is_checked_before_the_first_message_and_all_misfits_are_shown(
    service_of: Callable[..., Service], tmp_path: Path
) -> None:
    schemas = write_schemas(tmp_path)
    (schemas / "t.Declared.avsc").write_text(
        json.dumps(
            {"type": "record", "name": "Declared", "namespace": "t", "fields": [{"name": "total", "type": "long"}]}
        ),
        encoding="utf-8",
    )
    (schemas / "t.Do.avsc").unlink()

    made = service_of(sys.modules[__name__], topics={COMMANDS: 1}, command_topics=(COMMANDS,), schemas_path=schemas)
    with pytest.raises(ConfigurationException) as caught:
        await made.start()

    shown = "\n".join(caught.value.problems)
    for each in (EVENTS, "t.Declared", "total", "order_id", "t.Do"):
        assert each in shown
    assert DEAD_LETTERS not in shown
