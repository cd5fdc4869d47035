"""Rules for what the pods may do, read, and reach."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chart import restricted
from tests.chart.environment import pod_environment
from tests.chart.rendering import Manifest, Rendered, containers_of
from tests.chart.rules.objects import named, pods

REVEALING = re.compile(r"PASSWORD|SECRET$|DATABASE_URL|CACHE_URL|_TOKEN$|HEADERS$")
"""Names of variables whose values are secret."""


def pods_are_restricted(rendered: Rendered) -> Iterator[str]:
    """Every pod fits Pod Security `restricted`, has no token, no service links, a read-only root and limits."""
    for name, pod in pods(rendered):
        for problem in restricted.problems(pod):
            yield f"{name}: {problem}"


def nothing_secret_is_written(rendered: Rendered) -> Iterator[str]:
    """The chart makes no Secret, and what is secret comes by reference."""
    for secret in rendered.of("Secret"):
        yield f"{named(secret)} is made by the chart"
    yield from _written_out(rendered)
    for each in rendered.of("ConfigMap"):
        for key in each.get("data") or ():
            if REVEALING.search(key):
                yield f"{named(each)} holds {key}"


def _written_out(rendered: Rendered) -> Iterator[str]:
    for name, pod in pods(rendered):
        for container in containers_of(pod):
            for variable in container.get("env", ()):
                if REVEALING.search(variable["name"]) and "value" in variable:
                    yield f"{name} has {variable['name']} written out"


def files_are_mounted(rendered: Rendered) -> Iterator[str]:
    """Every file that a variable names lies in a volume that is mounted there, and every mount has its volume."""
    for name, pod in pods(rendered):
        volumes = {each["name"]: each for each in pod["spec"].get("volumes", ())}
        for container in containers_of(pod):
            mounts = {each["mountPath"]: each["name"] for each in container.get("volumeMounts", ())}
            for missing in set(mounts.values()) - volumes.keys():
                yield f"{name} mounts {missing}, which is no volume of it"
            for variable, path in pod_environment(rendered, pod, container["name"]).items():
                if variable.endswith(("FILE", "_CAFILE", "_CERTFILE", "_KEYFILE")):
                    folder, _, file = path.rpartition("/")
                    if file not in _files(volumes.get(mounts.get(folder, ""), {})):
                        yield f"{name} says {variable}={path}, and no volume has it"
                if variable == "STATE_PATH" and not any(path.startswith(mount) for mount in mounts):
                    yield f"{name} keeps its state in {path}, which cannot be written"


def _files(volume: Mapping[str, Any]) -> set[str]:
    found = set()
    for source in volume.get("projected", {}).get("sources", ()):
        for each in source.values():
            found |= {item["path"] for item in each.get("items", ())} | ({each["path"]} if "path" in each else set())
    return found


def network_lets_through_what_is_needed(rendered: Rendered) -> Iterator[str]:
    """Each pod may reach what its settings name; policies are there for each kind of pod, or for none."""
    policies = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in rendered.of("NetworkPolicy")
    }
    if not rendered.values["networkPolicy"]["enabled"]:
        if policies:
            yield "there are policies, and networkPolicy.enabled is false"
        return
    for name, pod in pods(rendered):
        policy = policies.get(pod["metadata"]["labels"]["app.kubernetes.io/component"])
        if policy is None:
            yield f"no policy for {name}"
            continue
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", ())}
        for what, port in _needed_ports(rendered, pod):
            if port not in ports:
                yield f"{name} cannot reach {what} on {port}"
        if any("ports" not in rule for rule in policy["spec"]["egress"]):
            yield f"{name} may go anywhere"


def _needed_ports(rendered: Rendered, pod: Manifest) -> Iterator[tuple[str, int | str]]:
    yield "DNS", 53
    for container in containers_of(pod):
        environment = pod_environment(rendered, pod, container["name"])
        for broker in environment.get("KAFKA_BOOTSTRAP_SERVERS", "").split(","):
            if broker:
                yield "Kafka", int(broker.rpartition(":")[2])
        for variable in ("SCHEMA_REGISTRY_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "KAFKA_SASL_OAUTH_TOKEN_URL"):
            if match := re.match(r"(https?)://[^/:]+(?::(\d+))?", environment.get(variable, "")):
                yield variable, int(match[2] or {"http": 80, "https": 443}[match[1]])
        if "DATABASE_URL" in environment:
            yield "the database", 5432
        if "CACHE_URL" in environment:
            yield "the cache", 6379
