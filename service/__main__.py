"""Start the order service, or talk to it: `python -m service` lists the commands."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cqrs.cli.early_stop import end_at_signals
from cqrs.cli.health import health_at_once
from cqrs.cli.program import ServiceProgram

if TYPE_CHECKING:
    from pathlib import Path

    from cqrs.cli.demo_commands import DemoCommand
    from cqrs.runtime import Service
    from cqrs.sql.migrations import Migrations
    from cqrs.telemetry.span_memory import SpanMemory
    from service.settings import OrderSettings


def _settings(chosen: "Mapping[str, Any]") -> "OrderSettings":
    from service.settings import OrderSettings

    return OrderSettings(**chosen)


def _service(settings: "OrderSettings", spans: "SpanMemory | None") -> "Service":
    # Imported when a command needs it: it brings every adapter, which `--help` need not wait for.
    from service.bootstrap import order_service

    return order_service(settings, spans)


def _demo(schemas: "Path") -> "Sequence[DemoCommand]":
    from service.demo import demo_commands

    return demo_commands(schemas)


def _migrations() -> "Migrations":
    from service.adapters.schema import MIGRATIONS

    return MIGRATIONS


PROGRAM = ServiceProgram(
    module="service",
    about="The order service: commands from Kafka to a bus, events back, in one trace.",
    packages=("service.application",),
    settings=_settings,
    service=_service,
    demo=_demo,
    migrations=_migrations,
    events=("service.domain",),
)

if __name__ == "__main__":
    end_at_signals(sys.argv[1:])  # before what takes a while to load
    if (healthy := health_at_once(sys.argv[1:])) is not None:
        sys.exit(healthy)
    from cqrs.cli.app import command_line

    command_line(PROGRAM)()
