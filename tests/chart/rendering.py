"""Render the chart as Helm does, for the values files of this folder."""

import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.chart.documented_values import CHART

VALUES = Path(__file__).parent / "values"
CASES = tuple(sorted(path.stem for path in VALUES.glob("*.yaml")))
RELEASE, NAMESPACE = "orders", "shop"
AT_ONCE = 4

# A manifest is whatever YAML it is; what it must be, schemas and rules say.
Manifest: TypeAlias = dict[str, Any]

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedException(Exception):
    """Report that Helm rendered nothing, in its words."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Hold what the chart makes of one values file.

    Attributes:
        case: The name of the values file.
        values: Its values, over the chart's own.
        manifests: Everything that it makes, in Helm's order.
    """

    case: str
    values: Mapping[str, Any]
    manifests: Sequence[Manifest]

    def of(self, kind: str) -> list[Manifest]:
        """Return the manifests of a kind."""
        return [each for each in self.manifests if each["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        """Return the one manifest of a kind, or the one of this name."""
        [found] = [each for each in self.of(kind) if name in (None, each["metadata"]["name"])]
        return found

    @property
    def workload(self) -> Manifest:
        """Return the Deployment or the StatefulSet."""
        return self.one(self.values["kind"])


def template(helm: Path, *arguments: str | Path, chart: Path = CHART, release: str = RELEASE) -> str:
    """Return what `helm template` prints.

    Raises:
        RefusedException: it refused.
    """
    command = [helm, "template", release, chart, "--namespace", NAMESPACE, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RefusedException(done.stderr)
    return done.stdout


def render(helm: Path, case: str, *arguments: str, chart: Path = CHART, release: str = RELEASE) -> Rendered:
    """Render one values file of this folder.

    Raises:
        RefusedException: Helm refused.
    """
    text = template(helm, "--values", VALUES / f"{case}.yaml", *arguments, chart=chart, release=release)
    manifests = [each for each in yaml.load_all(text, Loader) if each]
    return Rendered(case, values_of(case, chart), manifests)


def render_all(helm: Path, chart: Path = CHART) -> list[Rendered]:
    """Render every values file, several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda case: render(helm, case, chart=chart), CASES))


def values_of(case: str, chart: Path = CHART) -> Mapping[str, Any]:
    """Return the chart's values with those of the file laid over them."""
    defaults = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    return _laid_over(defaults, yaml.safe_load((VALUES / f"{case}.yaml").read_text("utf-8")))


def pod_of(manifest: Manifest) -> Manifest | None:
    """Return the pod, with metadata and spec, that a manifest is or leads to."""
    if manifest["kind"] == "Pod":
        return manifest
    found: Manifest | None = manifest.get("spec", {}).get("template") if manifest["kind"] in _PODS else None
    return found


_PODS = ("Deployment", "StatefulSet", "Job")


def containers_of(pod: Manifest) -> list[Manifest]:
    """Return the containers of a pod, initial ones first."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _laid_over(known, value) if both else value  # type: ignore[arg-type]
    return merged
