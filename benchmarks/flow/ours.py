"""The contestants that are ours: the service as a team runs it, started anew for each turn."""

import asyncio
import json
import os
from functools import partial
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http import trace_exporter

from benchmarks.flow.exporting import CountingExporter
from benchmarks.flow.job import COMMAND, EVENT, EVENTS, PARTITIONS, STAGE, Clock, TakesTurn, Turn, schema
from cqrs.config.settings import ServiceSettings
from cqrs.runtime import Service, ServiceParts

_UNTRACED = {"OTEL_SDK_DISABLED": "true"}
_TRACED = {"OTEL_TRACES_EXPORTER": "otlp"}


def settings(turn: Turn) -> ServiceSettings:
    """Return the settings of a turn: the defaults, but for names and places."""
    folder = Path(turn.folder)
    schemas = folder / "schemas"
    schemas.mkdir(exist_ok=True)
    for name in (COMMAND, EVENT):
        (schemas / f"{name}.avsc").write_text(json.dumps(schema(name)), "utf-8")
    return ServiceSettings(
        service_name="flow",
        kafka_bootstrap_servers=turn.bootstrap,
        kafka_group_id=turn.group,
        command_topics=(turn.commands,),
        topics={turn.commands: PARTITIONS, EVENTS: PARTITIONS, f"{turn.commands}-dlt": PARTITIONS},
        schemas_path=schemas,
        state_path=folder,
        management_port=0,
        log_level="ERROR",
        log_format="json",
    )


async def serve(turn: Turn, clock: Clock, handlers: str, traced: bool = False, pause_seconds: float = 0.0) -> None:
    """Start the service, let it work until the clock has counted everything, and stop it.

    Args:
        turn: What the turn is about.
        clock: Counts what was handled.
        handlers: The module of the handler.
        traced: Whether every message is traced and its spans are exported; else the tracing is off.
        pause_seconds: How long the handler waits, where it is one that waits.
    """
    os.environ.update(_TRACED if traced else _UNTRACED)
    # What the service exports to is the same for all who are traced; only the last step is not the network's.
    trace_exporter.OTLPSpanExporter = CountingExporter  # type: ignore[misc,assignment]
    STAGE.clock, STAGE.pause_seconds = clock, pause_seconds
    parts = ServiceParts(packages=(handlers,), events=("benchmarks.flow.orders",))
    await run(Service(settings(turn), parts), clock)


async def run(service: Service, clock: Clock) -> None:
    """Run a service as its own command line does, until the clock has counted everything, and stop it."""
    async with service:
        running = asyncio.create_task(service.run())
        await clock.finished.wait()
        await service.stop()
        await running


_PLACING = "benchmarks.flow.placing"
_NOTING = "benchmarks.flow.noting"
_WAITING = "benchmarks.flow.waiting"

CONTESTANTS: dict[str, TakesTurn] = {
    "event": partial(serve, handlers=_PLACING),
    "event, traced": partial(serve, handlers=_PLACING, traced=True),
    "no-op": partial(serve, handlers=_NOTING),
    "wait 1 ms": partial(serve, handlers=_WAITING, pause_seconds=0.001),
    "wait 10 ms": partial(serve, handlers=_WAITING, pause_seconds=0.01),
}
"""By name, what takes a turn."""
