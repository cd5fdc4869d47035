"""Docker Compose's own reader takes compose.yaml, and understands it as the other tests do."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cqrs.testing.fixtures import without_server
from tests.deploy.compose import COMPOSE, environment_of, on_this_machine, services
from tests.deploy.compose_loader import ComposeLoaderException, compose_loader
from tests.deploy.dockerfile import ROOT

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def loader() -> Path:
    try:
        return compose_loader()
    except ComposeLoaderException as error:
        without_server(str(error))


def read(loader: Path, file: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(loader), str(file)]
    told = on_this_machine() | environment
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def loaded(loader: Path) -> dict[str, Any]:
    done = read(loader, COMPOSE, PORT_KAFKA="19999", POSTGRES_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_it_fits_the_specification_and_is_understood_alike(loaded: dict[str, Any]) -> None:
    ours = services({"PORT_KAFKA": "19999", "POSTGRES_PASSWORD": "secret"})

    assert set(loaded) == set(ours)
    for name, service in ours.items():
        assert environment_of(loaded[name]) == environment_of(service), name
        assert loaded[name].get("command") == service.get("command"), name
        assert {each: value["condition"] for each, value in loaded[name].get("depends_on", {}).items()} == {
            each: value["condition"] for each, value in service.get("depends_on", {}).items()
        }


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "read_onli: true"),
        ("condition: service_healthy", "condition: service_well"),
        ("topics: { condition", "topic: { condition"),
        ('volumes: ["kafka:/var/lib', 'volumes: ["kafkas:/var/lib'),
        ("start_period: 60s", "start_period: soon"),
    ],
)
def test_a_mistake_in_it_would_be_found(loader: Path, tmp_path: Path, right: str, wrong: str) -> None:
    text = COMPOSE.read_text("utf-8")
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong, 1))

    assert read(loader, tmp_path / "compose.yaml").returncode != 0
