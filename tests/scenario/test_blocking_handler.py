"""A handler that blocks the event loop is named in the log and counted; one without async runs in a thread instead."""

import asyncio
import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.runtime import Service, ServiceParts
from cqrs.types import Command, message_type
from service.settings import COMMANDS
from tests.scenario.deployment import SECONDS, Deployed, deployed, settings_in

AT_ONCE = 20
seen_by_guard = threading.Event()
meeting = threading.Barrier(AT_ONCE)


@message_type("t.Block")
@dataclass(frozen=True)
class Block(Command[str]):
    """Ask for the event loop to be blocked."""

    what: str


@message_type("t.Work")
@dataclass(frozen=True)
class Work(Command[str]):
    """Ask for work that blocks its thread."""

    what: str


@command_handler
@service
class BlockHandler(CommandHandler[Block, str]):
    """Block the event loop until the guard has spoken."""

    async def do_handle(self, command: Block) -> str:
        seen_by_guard.wait(SECONDS)
        return command.what


@command_handler
@service
class WorkHandler(CommandHandler[Work, str]):
    """Wait in a thread for as many others."""

    def do_handle(self, command: Work) -> str:  # type: ignore[override]
        meeting.wait(SECONDS)
        return command.what


class Spoken(logging.Handler):
    """Set the event when the guard logs, and keep what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        seen_by_guard.set()


def blocking(folder: Path) -> Service:
    schemas = folder / "schemas"
    schemas.mkdir()
    for name in ("Block", "Work"):
        schema = {"type": "record", "namespace": "t", "name": name, "fields": [{"name": "what", "type": "string"}]}
        (schemas / f"t.{name}.avsc").write_text(json.dumps(schema), "utf-8")
    settings = settings_in(
        folder,
        topics={COMMANDS: 1},
        command_topics=(COMMANDS,),
        schemas_path=schemas,
        loop_blocked_ms=100,
        log_level="WARNING",
    )
    return Service(settings, ServiceParts(packages=(__name__,)))


async def send(found: Deployed, type_name: str, what: str) -> None:
    await found.produce(json.dumps({"what": what}).encode(), (("ce_type", type_name.encode()),), key=what.encode())


async def metrics(found: Deployed, line: str) -> str:
    """Ask for the metrics until they hold `line`."""

    def ask() -> str:
        with urlopen(f"{found.service.management_url}/metrics", timeout=SECONDS) as answer:  # noqa: S310
            return str(answer.read().decode())

    async with asyncio.timeout(SECONDS):
        while line not in (text := await asyncio.to_thread(ask)):
            pass
    return text


@pytest.mark.asyncio
async def test_it_is_named_with_its_record_and_its_line_and_counted(tmp_path: Path) -> None:
    spoken = Spoken()
    logger = logging.getLogger("cqrs.messaging.loop_guard")
    logger.addHandler(spoken)
    seen_by_guard.clear()
    try:
        async with deployed(blocking(tmp_path)) as found:
            await send(found, "t.Block", "b-1")
            await metrics(found, 'cqrs_event_loop_blocked_seconds_count{type="t.Block"} 1.0')
    finally:
        logger.removeHandler(spoken)

    assert "the handler of t.Block (orders.commands[0]@0) blocks it at" in spoken.said[0]
    assert "in BlockHandler.do_handle" in spoken.said[0]


@pytest.mark.asyncio
async def test_handlers_without_async_run_side_by_side_in_threads(tmp_path: Path) -> None:
    async with deployed(blocking(tmp_path)) as found:
        for number in range(AT_ONCE):
            await send(found, "t.Work", f"w-{number}")
        handled = f'messaging_client_consumed_messages_total{{outcome="handled",topic="{COMMANDS}"}} {AT_ONCE}.0'
        assert handled in await metrics(found, handled), (
            "each waited until all were there: none waited for another's end"
        )
