"""Check manifests against the schemas of Kubernetes versions and of custom resources; an unknown kind is a problem."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.chart import tools
from tests.chart.rendering import Loader, Manifest

VERSIONS = ("1.27", "1.33", "1.37")
"""The oldest that Chart.yaml names, one in the middle, and the newest that has schemas."""

CUSTOM = ("keda.sh", "monitoring.coreos.com", "kafka.strimzi.io")
"""The groups of custom resources that the chart may use."""


def problems(manifest: Manifest, version: str) -> Iterator[str]:
    """Say what a Kubernetes of this version, or the owner of a custom resource, would refuse."""
    group = manifest["apiVersion"].partition("/")[0]
    where = f"{manifest['kind']} {manifest['metadata'].get('name')}"
    validator = (_custom if group in CUSTOM else _builtin)(manifest["apiVersion"], manifest["kind"], version)
    if validator is None:
        yield f"{where}: nobody knows {manifest['apiVersion']} {manifest['kind']} in Kubernetes {version}"
        return
    for error in validator.iter_errors(manifest):
        yield f"{where}: {'/'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def _builtin(api_version: str, kind: str, version: str) -> Draft202012Validator | None:
    group, _, short = api_version.rpartition("/")
    name = f"{kind.lower()}-{group.partition('.')[0]}-{short}" if group else f"{kind.lower()}-{short}"
    folder = tools.kubernetes_schemas(version)
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text("utf-8"))
    return Draft202012Validator(schema, registry=_definitions(folder))


@cache
def _definitions(folder: Path) -> Registry[Any]:
    content = json.loads((folder / "_definitions.json").read_text("utf-8"))
    resource = Resource.from_contents(content, default_specification=DRAFT202012)
    return Registry().with_resources([("https://kubernetes.io/api/_definitions.json", resource)])


@cache
def _custom(api_version: str, kind: str, _version: str) -> Draft202012Validator | None:
    group, _, short = api_version.partition("/")
    definition = _custom_resources().get((group, kind))
    for version in definition["spec"]["versions"] if definition else ():
        if version["name"] == short:
            return Draft202012Validator(closed(version["schema"]["openAPIV3Schema"]))
    return None


@cache
def _custom_resources() -> Mapping[tuple[str, str], Manifest]:
    found = {}
    for path in tools.custom_resources().glob("*.yaml"):
        definition = yaml.load(path.read_text("utf-8"), Loader)  # noqa: S506 - a safe loader, the fast one
        found[definition["spec"]["group"], definition["spec"]["names"]["kind"]] = definition
    return found


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI schema as JSON Schema that refuses what it does not name; servers drop that in silence."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {key: value for key, value in schema.items() if key not in ("properties", "items", "additionalProperties")}
    if "properties" in schema:
        found["properties"] = {name: closed(each) for name, each in schema["properties"].items()}
        found["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if isinstance(schema.get("items"), dict):
        found["items"] = closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = closed(schema["additionalProperties"])
    return found
