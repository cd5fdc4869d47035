"""A service of one command whose handler does what the test has written for it, and remembers what it did."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.runtime import Service, ServiceParts
from cqrs.types import Command, message_type
from service.settings import COMMANDS, EVENTS, OrderSettings
from tests.scenario.deployment import Deployed, settings_in

SECONDS = 20.0
SETTINGS: dict[str, object] = {"topics": {COMMANDS: 1, EVENTS: 1}, "command_topics": (COMMANDS,)}
"""One partition, so that every record stands in the way of every other one if anything is wrong."""


@dataclass(frozen=True)
class Done:
    """Say what was done."""

    event_type: ClassVar[str] = "t.Done"
    what: str


@message_type("t.Do")
@dataclass(frozen=True)
class Do(Command[str]):
    """Ask for `what`."""

    what: str


Script = Callable[[], Awaitable[None]]


class Stage:
    """Hold the scripts of the running test, and what the handler did.

    Attributes:
        scripts: What the handler does for a command before it is done.
        begun: The commands that the handler began with, in order, each time.
        done: Those it came to the end of, in order, each time.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.begun: list[str] = []
        self.done: list[str] = []
        self._changed = asyncio.Condition()

    def fails(self, what: str, error: Exception, times: int = 10**9) -> None:
        """Have the handler raise `error` the first `times` times."""

        async def fail() -> None:
            if self.begun.count(what) <= times:
                raise error

        self.scripts[what] = fail

    def waits(self, what: str) -> asyncio.Event:
        """Have the handler wait for the event that is returned."""
        opened = asyncio.Event()

        async def wait() -> None:
            await opened.wait()

        self.scripts[what] = wait
        return opened

    async def run(self, what: str) -> None:
        """Play the handler's part."""
        self.begun.append(what)
        await self._tell()
        if what in self.scripts:
            await self.scripts[what]()
        self.done.append(what)
        await self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds."""
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


stage = Stage()
"""The stage of the running test; `scripted` sets it."""


@publish_domain_event(EVENTS, message_format="avro", key="what")
@command_handler
@service
class DoHandler(CommandHandler[Do, str]):
    """Do what the stage says."""

    async def do_handle(self, command: Do) -> str:
        await stage.run(command.what)
        emit(Done(command.what))
        return command.what


def scripted(folder: Path, **changed: object) -> Service:
    """Return a service with an empty stage; one partition unless `topics` says otherwise."""
    global stage
    stage = Stage()
    schemas = folder / "schemas"
    schemas.mkdir(exist_ok=True)
    for name in ("Do", "Done"):
        schema = {"type": "record", "namespace": "t", "name": name, "fields": [{"name": "what", "type": "string"}]}
        (schemas / f"t.{name}.avsc").write_text(json.dumps(schema), "utf-8")
    settings: OrderSettings = settings_in(folder, **(SETTINGS | {"schemas_path": schemas} | changed))
    return Service(settings, ServiceParts(packages=(__name__,), events=(__name__,)))


async def do(deployed: Deployed, what: str, key: str | None = None, partition: int = 0) -> None:
    """Send a command to do `what`, with its own name as the key."""
    headers = (("ce_type", b"t.Do"), ("ce_id", what.encode()))
    value = json.dumps({"what": what}).encode()
    await deployed.produce(value, headers, key=(what if key is None else key).encode(), partition=partition)
