"""Read compose.yaml as Docker Compose does, as far as ours goes: variables, anchors, and what starts after what."""

import os
import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT

COMPOSE = ROOT / "compose.yaml"
COMPLETED, HEALTHY = "service_completed_successfully", "service_healthy"

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})")

Service = Mapping[str, Any]


def variables(text: str) -> dict[str, str]:
    """Return the variables that a compose file asks for, with their defaults."""
    return {name: default for name, default in _VARIABLE.findall(text) if name}


def services(environment: Mapping[str, str] | None = None, path: Path = COMPOSE) -> dict[str, Service]:
    """Return the services of compose.yaml, `environment` put in."""
    given = environment or {}

    def put(found: re.Match[str]) -> str:
        return (given.get(found[1]) or found[2] or "") if found[1] else "$"

    content = yaml.safe_load(_VARIABLE.sub(put, path.read_text("utf-8")))
    found: dict[str, Service] = content["services"]
    return found


def ours(found: Mapping[str, Service]) -> dict[str, Service]:
    """Return those that run the image of the service."""
    image = found["service"]["image"]
    return {name: each for name, each in found.items() if each["image"] == image}


def environment_of(service: Service) -> dict[str, str]:
    """Return what a container's processes find in their environment."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def in_order(found: Mapping[str, Service]) -> list[str]:
    """Return the names in an order in which they can start."""
    graph = {name: set(each.get("depends_on", {})) for name, each in found.items()}
    return list(TopologicalSorter(graph).static_order())


def addresses_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield the `host:port` pairs that a value names."""
    for host, port in re.findall(r"([a-z][a-z0-9-]*):(\d{2,5})\b", text):
        yield host, int(port)


def seconds(duration: str) -> float:
    """Return the seconds of `1m30s`."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", duration))


def on_this_machine() -> dict[str, str]:
    """Return the environment of this process without what a service would read of it."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
