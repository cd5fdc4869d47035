"""The contestants that are ours: the service as a team runs it, started anew for each turn."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http import trace_exporter

from benchmarks.flow.exporting import CountingExporter
from benchmarks.flow.job import COMMAND, EVENT, EVENTS, PARTITIONS, STAGE, Clock, Turn, schema
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


async def serve(turn: Turn, clock: Clock, handlers: str, environment: Mapping[str, str]) -> None:
    """Start the service, let it work until the clock has counted everything, and stop it."""
    os.environ.update(environment)
    # What the service exports to: an exporter whose cost is the same for all who are traced.
    trace_exporter.OTLPSpanExporter = CountingExporter  # type: ignore[misc,assignment]
    STAGE.clock = clock
    service = Service(settings(turn), ServiceParts(packages=(handlers,), events=(handlers,)))
    async with service:
        await clock.finished.wait()


_PLACING = "benchmarks.flow.placing"

CONTESTANTS = {
    "event": partial(serve, handlers=_PLACING, environment=_UNTRACED),
    "event, traced": partial(serve, handlers=_PLACING, environment=_TRACED),
}
"""By name, what takes a turn."""
