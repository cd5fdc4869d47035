"""`doctor` says what weakens a promise, and what the service needs and lacks, with what to type."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from cqrs.cli.app import command_line
from cqrs.testing.embedded_broker import EmbeddedBroker
from service.adapters.schema import MIGRATIONS
from tests.unit.cli.programs import program


def doctor(folder: Path, **chosen: Any) -> Result:
    return CliRunner().invoke(command_line(program(folder, migrations=lambda: MIGRATIONS, **chosen)), ["doctor"])


def test_on_a_laptop_all_is_embedded_and_that_is_said(tmp_path: Path) -> None:
    result = doctor(tmp_path)

    assert result.exit_code == 0
    assert "KAFKA_BOOTSTRAP_SERVERS is not set: the embedded broker keeps nothing" in result.stdout
    assert "broker    embedded" in result.stdout
    assert "database  a file" in result.stdout


def test_what_is_away_is_named_with_what_to_type_and_without_passwords(tmp_path: Path) -> None:
    result = doctor(
        tmp_path,
        kafka_bootstrap_servers="127.0.0.1:1",
        kafka_request_timeout_ms=2000,
        database_url="postgresql+asyncpg://me:hunter2@127.0.0.1:1/orders",
        schema_registry_url="http://me:hunter2@127.0.0.1:1",
        topics={"cmd": 1, "cmd-dlt": 1, "orders.events": 1},
    )

    assert result.exit_code == 1
    for command in ("topics check", "schemas check", "migrate status"):
        assert f"-m shop {command}" in result.stdout
    assert "SCHEMA_REGISTRY_URL is http" in result.stdout
    assert "hunter2" not in result.output


def test_a_database_of_an_earlier_release_is_named(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        broker.create_topic("cmd", 1)
        result = doctor(
            tmp_path,
            kafka_bootstrap_servers=broker.bootstrap_servers,
            database_url=f"sqlite+aiosqlite:///{tmp_path}/given.db",
        )

    assert result.exit_code == 1
    assert "python -m service migrate up" in result.stdout
