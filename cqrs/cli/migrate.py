"""Look at the database's version, bring it to that of this release, or print what that takes as SQL."""

import asyncio
import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cqrs.cli.program import S, ServiceProgram
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.sql.engine import parse_url
from cqrs.sql.migrating import migrate
from cqrs.sql.migrations import Migrations, SchemaStatus, schema_status, written_out
from cqrs.sql.opening import open_engine
from cqrs.telemetry.logs import configure_logging


def migrate_up(program: ServiceProgram[S], console: Console, *, wait_seconds: float) -> None:
    """Run the pending steps and say what was done.

    Raises:
        ConfigurationException: the service has no database, or it is of a later release.
        CqrsException: a step was refused, and nothing was changed.
        DependencyUnavailableException: the database did not answer in time.
    """
    settings, migrations = program.settings({}), migrations_of(program)
    configure_logging(settings.log_level, settings.log_format)
    reached = asyncio.run(migrate(settings.used_database_url, migrations, wait_seconds=wait_seconds))
    names = migrations.steps().names
    for version in reached:
        console.print(Text.assemble((f"{version:<8}", "bold"), names[version]))
    last = list(names)[-1]
    console.print(f"the database is at version {last}" + ("" if reached else ", as it was before"))


def migrate_status(program: ServiceProgram[S], console: Console, *, as_json: bool) -> bool:
    """Show where the database stands, and return whether this release works on it.

    Raises:
        ConfigurationException: the service has no database.
        DependencyUnavailableException: it does not answer.
    """
    settings, migrations = program.settings({}), migrations_of(program)
    status = asyncio.run(look(settings, migrations))
    if as_json:
        console.print(json.dumps({**asdict(status), "problem": status.problem}, indent=2), soft_wrap=True)
    else:
        _show(console, migrations, status)
    return status.problem is None


def migrate_sql(program: ServiceProgram[S], console: Console, *, dialect: str | None, after: str | None) -> None:
    """Print the steps as SQL; no database is asked.

    Args:
        program: The service.
        console: Where to.
        dialect: `postgresql` or `sqlite`; None takes that of DATABASE_URL.
        after: The version behind which to begin; None for an empty database.

    Raises:
        ConfigurationException: the service has no database, or there is no such version.
    """
    chosen = dialect or parse_url(program.settings({}).used_database_url).get_backend_name()
    console.print(written_out(migrations_of(program), chosen, after), soft_wrap=True)


def migrations_of(program: ServiceProgram[S]) -> Migrations:
    """Return the steps of a service.

    Raises:
        ConfigurationException: it has no database.
    """
    if program.migrations is None:
        raise ConfigurationException(["this service has no database, so there is nothing to migrate"])
    return program.migrations()


async def look(settings: ServiceSettings, migrations: Migrations) -> SchemaStatus:
    """Look where the database stands.

    Raises:
        DependencyUnavailableException: it does not answer.
    """
    engine = open_engine(settings)
    try:
        return await schema_status(engine, migrations)
    finally:
        await engine.dispose()


def _show(console: Console, migrations: Migrations, status: SchemaStatus) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for heading in ("version", "for", "state"):
        table.add_column(heading, overflow="fold")
    for version, purpose in migrations.steps().names.items():
        done = status.is_known and version not in status.pending
        state = Text("done", style="green") if done else Text("pending" if status.is_known else "?", style="yellow")
        table.add_row(version, purpose, state)
    console.print(table)
    verdict = status.problem or f"{status.place} is at version {status.found}, which this release needs"
    console.print(Text(verdict, style="red" if status.problem else "green"), soft_wrap=True)
