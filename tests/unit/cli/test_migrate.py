"""`migrate up`, `migrate status` and `migrate sql`, as an operator types them."""

import json
import sqlite3
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cqrs.cli.app import command_line
from service.adapters.schema import MIGRATIONS
from tests.unit.cli.programs import program


@pytest.fixture
def app(tmp_path: Path) -> typer.Typer:
    return command_line(program(tmp_path, migrations=lambda: MIGRATIONS))


def run(app: typer.Typer, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["migrate", *arguments])


def test_status_says_what_to_type_and_up_does_it(app: typer.Typer) -> None:
    before = run(app, "status")
    assert before.exit_code == 1
    assert "0001" in before.output
    assert "pending" in before.output
    assert "python -m service migrate up" in before.output

    assert run(app, "up").stdout.splitlines() == ["0001    Orders and their items", "the database is at version 0001"]
    assert run(app, "up").stdout.splitlines() == ["the database is at version 0001, as it was before"]

    after = run(app, "status")
    assert after.exit_code == 0
    assert "done" in after.output


def test_status_for_scripts(app: typer.Typer) -> None:
    run(app, "up")

    status = json.loads(run(app, "status", "--json").stdout)

    assert (status["found"], status["wanted"], status["pending"], status["problem"]) == ("0001", "0001", [], None)


def test_a_later_release_is_not_touched(app: typer.Typer, tmp_path: Path) -> None:
    run(app, "up")
    with sqlite3.connect(tmp_path / "service.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    assert run(app, "status").exit_code == 1
    refused = run(app, "up")
    assert refused.exit_code == 2
    assert "does not know" in refused.stderr


def test_sql_is_of_the_database_that_is_given_or_named(tmp_path: Path) -> None:
    url = "postgresql+asyncpg://me:hunter2@nowhere/orders"
    app = command_line(program(tmp_path, migrations=lambda: MIGRATIONS, database_url=url))

    assert "TIMESTAMP WITH TIME ZONE" in run(app, "sql").stdout
    assert "DATETIME" in run(app, "sql", "--dialect", "sqlite").stdout
    assert run(app, "sql", "--after", "0009").exit_code == 2


def test_a_database_that_is_away_ends_with_2_and_shows_no_password(tmp_path: Path) -> None:
    url = "postgresql+asyncpg://me:hunter2@127.0.0.1:1/orders"
    app = command_line(program(tmp_path, migrations=lambda: MIGRATIONS, database_url=url))

    for result in (run(app, "status"), run(app, "up", "--wait", "0")):
        assert result.exit_code == 2
        assert "127.0.0.1:1/orders" in result.stderr
        assert "hunter2" not in result.output


def test_a_service_without_a_database_says_so(tmp_path: Path) -> None:
    result = run(command_line(program(tmp_path)), "status")

    assert result.exit_code == 2
    assert "no database" in result.stderr
