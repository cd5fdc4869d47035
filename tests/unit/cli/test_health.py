"""`health` asks the management port of the running service, with next to nothing loaded for it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cqrs.cli.app import command_line
from cqrs.cli.health import health_at_once
from cqrs.http.management import Checks, ManagementSources, management_app, nothing_to_check
from cqrs.http.server import ThreadedServer
from tests.unit.cli.programs import program

ROOT = Path(__file__).parents[3]


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, directory: Path, **probes: Checks) -> Iterator[int]:
    """Serve a management port, name it in the environment, and yield it."""
    import asyncio

    sources = ManagementSources(lambda _: (b"", ""), dict, dict, **{"readiness": nothing_to_check, **probes})
    server = ThreadedServer(management_app(sources))
    asyncio.run(server.start())
    monkeypatch.setenv("MANAGEMENT_PORT", str(server.port))
    monkeypatch.delenv("CONFIG_FILE", raising=False)
    monkeypatch.chdir(directory)
    try:
        yield server.port
    finally:
        asyncio.run(server.stop())


def test_all_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(monkeypatch, tmp_path, liveness=lambda: {"progress": None}):
        assert health_at_once(["health"]) == 0
        assert health_at_once(["health", "liveness"]) == 0

    assert capsys.readouterr().out == "readiness: all is well\nliveness: all is well\n"


def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"assignment": None, "registry": "registry:8081 is away", "database": "no answer"}
    with served(monkeypatch, tmp_path, readiness=lambda: found):
        assert health_at_once(["health", "readiness"]) == 1

    assert capsys.readouterr().out == "registry: registry:8081 is away\ndatabase: no answer\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])  # noqa: S104 - it is not listened on
def test_a_port_that_is_listened_on_everywhere_is_asked_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv("MANAGEMENT_HOST", host)
    with served(monkeypatch, tmp_path):
        assert health_at_once(["health"]) == 0


def test_nobody_there_and_somebody_else_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(monkeypatch, tmp_path) as port:
        pass
    assert health_at_once(["health"]) == 2
    assert f"nobody answers at 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["health", "--help"], ["health", "nonsense"], ["health", "liveness", "--more"]]
)
def test_whatever_else_is_typed_is_the_command_lines_affair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]
) -> None:
    with served(monkeypatch, tmp_path):
        assert health_at_once(arguments) is None


def test_settings_in_a_file_are_read_by_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with served(monkeypatch, tmp_path) as port:
        (tmp_path / "service.yaml").write_text(f"management_port: {port}\n")
        monkeypatch.delenv("MANAGEMENT_PORT")
        assert health_at_once(["health"]) is None

        result = CliRunner().invoke(command_line(program(tmp_path)), ["health"])

    assert (result.exit_code, result.stdout) == (0, "readiness: all is well\n")


def test_any_free_port_cannot_be_asked(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line(program(tmp_path, management_port=0)), ["health"])

    assert result.exit_code == 2
    assert "MANAGEMENT_PORT is 0" in result.stderr


def test_next_to_nothing_is_loaded_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with served(monkeypatch, tmp_path):
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        command = [sys.executable, "-X", "importtime", "-m", "service", "health"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program

    assert (done.returncode, done.stdout) == (0, "readiness: all is well\n")
    assert not [name for name in ("typer", "pydantic", "opentelemetry", "asyncio") if f" {name}\n" in done.stderr]
