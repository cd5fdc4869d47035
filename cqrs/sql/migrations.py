"""What the database of a service looks like, and how it gets there: alembic's migrations, one file a step.

Steps are written for PostgreSQL and SQLite and only go forward. All that are pending run in one transaction, so that
one that fails leaves the database as it was.
"""

import importlib
import io
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationInfo, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.exceptions import ConfigurationException
from cqrs.sql.failures import READ_ONLY_OPTION, connecting, place_of
from cqrs.sql.schema import Tables

_logger = logging.getLogger(__name__)
_HERE = Path(__file__).parent  # alembic asks for a folder of its own, and keeps nothing in it


@dataclass(frozen=True, slots=True)
class Migrations:
    """Name the tables of a service and the package of the steps that lead to them.

    Attributes:
        tables: The tables as the code of this release uses them.
        package: The package whose modules are the steps, as `0001_orders.py`, each with `revision`, `down_revision` and
            `upgrade()`.
        program: How the service is started, `python -m <program>`, to say what to type.
        version_table: Where the database notes its version; one of your own where services share a database.
    """

    tables: Tables
    package: str
    program: str = "service"
    version_table: str = "alembic_version"

    @property
    def folder(self) -> Path:
        """Return the folder of the steps."""
        return Path(next(iter(importlib.import_module(self.package).__path__)))

    def steps(self) -> "Steps":
        """Read the steps.

        Raises:
            ConfigurationException: there are none, or two follow the same one.
        """
        script = ScriptDirectory(_HERE, version_locations=[str(self.folder)])
        heads = script.get_heads()
        if len(heads) != 1:
            found = " and ".join(sorted(heads)) or "none"
            raise ConfigurationException(
                [f"{self.package}: one step must be the last, and these are: {found}; set down_revision of one of them"]
            )
        return Steps(script, heads[0])


@dataclass(frozen=True, slots=True)
class Steps:
    """Hold the steps of a service in their order.

    Attributes:
        script: The steps, as alembic reads them.
        last: The version of the database behind the last one.
    """

    script: ScriptDirectory
    last: str

    @property
    def names(self) -> dict[str, str]:
        """Return what each version is for, the first one first."""
        found = list(self.script.walk_revisions())
        return {each.revision: each.doc.rstrip(".") for each in reversed(found)}

    def behind(self, version: str | None) -> tuple[str, ...]:
        """Return the versions behind `version`, or behind an empty database."""
        names = list(self.names)
        return tuple(names if version is None else names[names.index(version) + 1 :])


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Say where a database stands, beside where this release wants it.

    Attributes:
        place: The database, without its user or password.
        program: How the service is started, to say what to type.
        found: The version that the database notes; None when it notes none.
        wanted: The version that this release needs.
        pending: The steps to come.
        is_known: Whether this release knows the version that was found.
        is_empty: Whether none of the service's tables is there.
    """

    place: str
    program: str
    found: str | None
    wanted: str
    pending: tuple[str, ...]
    is_known: bool
    is_empty: bool

    @property
    def is_newer(self) -> bool:
        """Say whether a later release migrated it."""
        return not self.is_known

    @property
    def problem(self) -> str | None:
        """Return what keeps this release from working on it and what to type, or None."""
        if self.is_newer:
            return (
                f"{self.place} is at version {self.found}, which this release (at {self.wanted}) does not know: a "
                "later one migrated it. Start that release, or, where its steps only added, this one with "
                "DATABASE_SCHEMA=allow_newer"
            )
        if not self.pending:
            return None
        todo = f"To bring it to {self.wanted}: python -m {self.program} migrate up"
        if self.found is not None:
            return f"{self.place} is at version {self.found}, and this release needs {self.wanted}. {todo}"
        if self.is_empty:
            return f"{self.place} has no tables of this service yet. {todo}"
        return f"{self.place} has tables of a release before migrations. {todo}"


async def schema_status(engine: AsyncEngine, migrations: Migrations) -> SchemaStatus:
    """Look where the database stands; nothing is changed.

    Raises:
        ConfigurationException: the steps contradict each other.
        DependencyUnavailableException: the database cannot be reached.
    """
    steps = migrations.steps()
    with connecting(place_of(engine.url)):
        connection = await engine.execution_options(**{READ_ONLY_OPTION: True}).connect()
    try:
        return await connection.run_sync(status_of, migrations, steps)
    finally:
        await connection.close()


async def require_schema(engine: AsyncEngine, migrations: Migrations, *, allow_newer: bool) -> None:
    """Refuse a database whose version this release does not know, before anything is read from it.

    Args:
        engine: The database.
        migrations: The steps of this release.
        allow_newer: Whether a version of a later release will do.

    Raises:
        ConfigurationException: says what to type.
        DependencyUnavailableException: the database cannot be reached.
    """
    status = await schema_status(engine, migrations)
    if status.problem is None:
        return
    if status.is_known or not allow_newer:
        raise ConfigurationException([status.problem])
    _logger.warning("%s is at version %s of a later release, and is used as it is", status.place, status.found)


def status_of(connection: Connection, migrations: Migrations, steps: Steps) -> SchemaStatus:
    """Look where the database of an open connection stands."""
    options = {"version_table": migrations.version_table}
    found = MigrationContext.configure(connection, opts=options).get_current_heads()
    version = ", ".join(found) or None
    is_known = version is None or version in steps.names
    there = set(inspect(connection).get_table_names())
    return SchemaStatus(
        place=place_of(connection.engine.url),
        program=migrations.program,
        found=version,
        wanted=steps.last,
        pending=steps.behind(version) if is_known else (),
        is_known=is_known,
        is_empty=there.isdisjoint(migrations.tables.tables),
    )


def run_steps(connection: Connection, migrations: Migrations, steps: Steps, done: list[str]) -> None:
    """Run what is pending on an open connection, in one transaction; adds each version to `done` once it is reached."""

    def pending(found: tuple[str, ...], _: MigrationContext) -> Sequence[RevisionStep]:
        return steps.script._upgrade_revs(steps.last, found or None)  # type: ignore[arg-type]  # noqa: SLF001 - as alembic's own commands do

    def note(
        ctx: MigrationContext, step: MigrationInfo, heads: Collection[object], run_args: Mapping[str, object]
    ) -> None:
        done.extend(step.up_revision_ids)

    with EnvironmentContext(Config(), steps.script, fn=pending) as environment:
        environment.configure(
            connection=connection,
            version_table=migrations.version_table,
            transactional_ddl=True,
            on_version_apply=note,
        )
        with environment.begin_transaction():
            environment.run_migrations()
            _require_whole(connection, migrations)


def differences(connection: Connection, migrations: Migrations) -> list[object]:
    """Return in what a migrated database differs from the tables of the code, as alembic tells it."""
    options = {"version_table": migrations.version_table, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), migrations.tables))


def written_out(migrations: Migrations, dialect: str, after: str | None = None) -> str:
    """Return the steps as SQL for somebody to look at, or to run by hand; no database is asked.

    Args:
        migrations: The steps.
        dialect: `postgresql` or `sqlite`.
        after: The version behind which to begin; None for an empty database.

    Raises:
        ConfigurationException: there is no such version.
    """
    steps = migrations.steps()
    if after is not None and after not in steps.names:
        raise ConfigurationException([f"there is no version {after}; there are {', '.join(steps.names)}"])
    text = io.StringIO()

    def wanted(_found: tuple[str, ...], _: MigrationContext) -> Sequence[RevisionStep]:
        return steps.script._upgrade_revs(steps.last, after or "base")  # noqa: SLF001 - as above

    with EnvironmentContext(Config(), steps.script, fn=wanted, as_sql=True, starting_rev=after) as environment:
        environment.configure(
            dialect_name=dialect,
            version_table=migrations.version_table,
            transactional_ddl=True,
            output_buffer=text,
            literal_binds=True,
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return text.getvalue()


def _require_whole(connection: Connection, migrations: Migrations) -> None:
    """Find what the steps left undone while it can still be rolled back: tables that were there and are not ours.

    Raises:
        ConfigurationException: names every table and column that is missing, and rows that lost what they refer to.
    """
    problems = list(_missing(connection, migrations))
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
        problems += [f"a row of {row[0]} refers to a row of {row[2]} that is not there" for row in broken]
    if problems:
        raise ConfigurationException([f"nothing was migrated: {problem}" for problem in problems])


def _missing(connection: Connection, migrations: Migrations) -> Iterable[str]:
    found = inspect(connection)
    there = set(found.get_table_names())
    for table in migrations.tables.tables.values():
        columns = {each["name"] for each in found.get_columns(table.name)} if table.name in there else set()
        for column in table.columns:
            if column.name not in columns:
                yield (
                    f"{table.name}.{column.name} would be missing; was there a table {table.name} that is not of this "
                    "service, or does a step add less than the code uses?"
                )
