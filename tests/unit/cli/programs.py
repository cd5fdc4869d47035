"""A service's command line made of fakes."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from cqrs.cli.demo_commands import DemoCommand, Expected, json_command
from cqrs.cli.program import ServiceProgram
from cqrs.config.settings import ServiceSettings
from cqrs.runtime import Service
from cqrs.sql.migrations import Migrations


class FakeService:
    """Be started, say where it is, run until it is told to stop."""

    bootstrap_servers = "127.0.0.1:1"
    registry_url = "http://127.0.0.1:2"
    management_url = "http://127.0.0.1:3"

    def __init__(self, settings: ServiceSettings, failure: BaseException | None = None) -> None:
        self.settings = settings
        self.failure = failure
        self.running = asyncio.Event()
        self.is_ready = asyncio.Event()
        self.told_to_stop = asyncio.Event()
        self.events: list[str] = []

    async def __aenter__(self) -> "FakeService":
        if self.failure is not None:
            raise self.failure
        self.events.append("started")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.events.append("stopped")

    async def ready(self) -> None:
        self.is_ready.set()

    async def run(self) -> None:
        self.running.set()
        await self.told_to_stop.wait()


def program(
    state: Path,
    *,
    service: FakeService | None = None,
    migrations: Callable[[], Migrations] | None = None,
    **chosen: Any,
) -> ServiceProgram[ServiceSettings]:
    """Return the program of a service that keeps its state in `state`."""

    def settings(given: Mapping[str, Any]) -> ServiceSettings:
        own = {"state_path": state, "command_topics": ("cmd",), "topics": {"cmd": 1, "cmd-dlt": 1, "evt": 1}}
        return ServiceSettings.model_validate({**own, **chosen, **given})

    def demo(_schemas: Path) -> tuple[DemoCommand, ...]:
        return (json_command("one", "t.Do", "k", {"say": "it's"}, Expected(event="t.Done")),)

    return ServiceProgram(
        module="shop",
        about="A shop.",
        packages=("service.application",),
        settings=settings,
        service=lambda settings, _: cast("Service", service or FakeService(settings)),
        demo=demo,
        migrations=migrations,
    )
