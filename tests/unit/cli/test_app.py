from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cqrs.cli.app import command_line
from cqrs.exceptions import ConfigurationException
from tests.unit.cli.programs import FakeService, program

COMMANDS = ("demo", "run", "send", "dead-letters", "topics", "migrate", "settings", "handlers")


@pytest.fixture
def app(tmp_path: Path) -> typer.Typer:
    return command_line(program(tmp_path, schemas_path=Path("schemas")))


def test_alone_it_lists_the_commands(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, [])

    assert result.exit_code == 0
    assert "A shop." in result.output
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(app: typer.Typer, command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


@pytest.mark.parametrize("arguments", [["nonsense"], ["send"], ["send", "t.Do", "{}", "--timeout", "0"]])
def test_wrong_usage_ends_with_2(app: typer.Typer, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_settings_show_names_values_and_help(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://me:hunter2@db/orders")

    result = CliRunner().invoke(app, ["settings"])

    assert result.exit_code == 0
    assert "KAFKA_GROUP_ID = service\n" in result.output
    assert "CQRS__COMMAND__TIMEOUT = " in result.output
    assert "hunter2" not in result.output


def test_handlers_are_listed(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["handlers"])

    assert result.exit_code == 0
    assert "orders.CreateOrder" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "orders.CancelOrder", "{}"],
        ["send", "Nothing", "{}"],
        ["dead-letters"],
        ["dead-letters", "--file", "absent.jsonl"],
    ],
)
def test_what_is_missing_is_one_line_and_ends_with_2(app: typer.Typer, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


def test_a_service_that_cannot_start_shows_every_problem(tmp_path: Path) -> None:
    settings = program(tmp_path).settings({})
    service = FakeService(settings, ConfigurationException(["no schema for A", "no topic for B"]))

    result = CliRunner().invoke(command_line(program(tmp_path, service=service)), ["run"])

    assert result.exit_code == 2
    assert result.stderr == "error: no schema for A\nerror: no topic for B\n"


def test_wrong_settings_show_every_problem(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_GROUPID", "x")
    monkeypatch.setenv("COMMIT_INTERVAL_MS", "soon")

    result = CliRunner().invoke(app, ["settings"])

    assert result.exit_code == 2
    assert result.stderr.count("error: ") == 2
    assert "KAFKA_GROUP_ID" in result.stderr
