"""What a container of the chart would find in its environment and in its secrets."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cqrs.testing.certificates import CertificateAuthority
from service.settings import OrderSettings
from tests.chart.rendering import Manifest, Rendered, containers_of

PLACEHOLDERS: Mapping[str, str] = {
    "DATABASE_URL": "postgresql+asyncpg://user:password@database:5432/orders",
    "CACHE_URL": "redis://cache:6379/0",
}
"""What secrets hold where a setting takes not any text; elsewhere `secret` stands for it."""


def pod_environment(rendered: Rendered, pod: Manifest, container: str) -> dict[str, str]:
    """Return the variables of a container; what comes from a secret or from the cluster has a placeholder."""
    maps = {each["metadata"]["name"]: each.get("data") or {} for each in rendered.of("ConfigMap")}
    [found] = [each for each in containers_of(pod) if each["name"] == container]
    environment: dict[str, str] = {}
    for source in found.get("envFrom", ()):
        environment |= maps.get(source.get("configMapRef", {}).get("name"), {})
    for variable in found.get("env", ()):
        name = variable["name"]
        environment[name] = variable["value"] if "value" in variable else PLACEHOLDERS.get(name, "secret")
    return environment


def secrets_read(pod: Manifest) -> set[tuple[str, str]]:
    """Return each secret that a pod reads, with the key."""
    found = set()
    for container in containers_of(pod):
        for variable in container.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                found.add((reference["name"], reference["key"]))
    for volume in pod["spec"].get("volumes", ()):
        for source in volume.get("projected", {}).get("sources", ()):
            if secret := source.get("secret"):
                found |= {(secret["name"], item["key"]) for item in secret["items"]}
    return found


def settings_of(environment: Mapping[str, str]) -> OrderSettings:
    """Return the settings that the service has with these variables and no others.

    Raises:
        ConfigurationException: it would not start with them.
    """
    return _settings(tuple(sorted(environment.items())))


@cache
def _settings(variables: tuple[tuple[str, str], ...]) -> OrderSettings:
    files, locked = _files(), any(name.endswith("_KEY_PASSWORD") for name, _ in variables)
    here = {name: str(files[_file(name, locked)]) if _file(name, locked) else value for name, value in variables}
    before, folder = dict(os.environ), Path.cwd()
    try:
        os.environ.clear()
        os.environ.update(here)
        os.chdir(files["folder"])  # where neither .env nor service.yaml is
        return OrderSettings()
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)


def _file(name: str, locked: bool) -> str:
    client = "locked" if locked else "open"
    endings = {
        "_CAFILE": "authority",
        "_CERTFILE": f"{client} certificate",
        "_KEYFILE": f"{client} key",
        "_TOKEN_FILE": "token",
    }
    return next((file for ending, file in endings.items() if name.endswith(ending)), "")


@cache
def _files() -> Mapping[str, Path]:
    """Return files that can stand for those in the secrets; the settings read certificates at start."""
    folder = Path(tempfile.mkdtemp(prefix="chart-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = CertificateAuthority(folder)
    openly, locked = authority.sign("open"), authority.sign("locked", key_password="secret")
    token = folder / "token"
    token.write_text("token", "utf-8")
    empty = folder / "empty"
    empty.mkdir()
    return {
        "authority": authority.certificate, "token": token, "folder": empty,
        "open certificate": openly.certificate, "open key": openly.key,
        "locked certificate": locked.certificate, "locked key": locked.key,
    }  # fmt: skip
