"""Bring a database to the version that this release needs, however many try so at once."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cqrs.exceptions import ConfigurationException, CqrsException, DependencyUnavailableException, message_of
from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.sql.failures import connecting, place_of
from cqrs.sql.migrations import Migrations, Steps, run_steps, status_of
from cqrs.sql.schema import LOCK_KEY

WAIT_SECONDS = 60.0
"""How long to wait for a database that does not answer yet, and for another process that migrates it."""

TABLE_LOCK_SECONDS = 10
"""How long a step may wait for a table in use: whoever else wants that table stands in line behind it."""

_RETRY_SECONDS = 0.25

_logger = logging.getLogger(__name__)

# alembic keeps what it works on in the module `alembic.op`, so only one of a process can be at it.
_at_work = threading.Lock()


class MigrationFailedException(CqrsException):
    """Report a step that the database refused; the transaction of all steps was rolled back."""


async def migrate(url: str, migrations: Migrations, *, wait_seconds: float = WAIT_SECONDS) -> Sequence[str]:
    """Run the pending steps in one transaction, and return the versions that were reached; empty when there were none.

    PostgreSQL keeps others out by an advisory lock, SQLite by its write lock.

    Args:
        url: The database, as `create_engine` takes it.
        migrations: The steps.
        wait_seconds: How long to wait for the database to answer, and for another process that is at it.

    Raises:
        ConfigurationException: the database is of a later release, or has tables that are not ours.
        MigrationFailedException: a step was refused; the database is as it was.
        DependencyUnavailableException: the database did not answer in time, or was being migrated all the time.
    """
    until = time.monotonic() + wait_seconds
    steps = migrations.steps()
    engine = _engine(url, wait_seconds)
    try:
        async with _alone_in_process():
            return await _migrate(engine, migrations, steps, until)
    finally:
        await engine.dispose()


def _engine(url: str, wait_seconds: float) -> AsyncEngine:
    """Make an engine for one connection, whose statements may take as long as they need."""
    options = EngineOptions(pool_size=1, max_overflow=0, statement_timeout=None)
    engine = create_engine(url, replace(options, busy_timeout=max(wait_seconds, 0.1)))
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _ignore_references)
    return engine


def _ignore_references(connection: DBAPIConnection, _: object) -> None:
    """Let a table be made anew, SQLite's way of changing one, without the rows that refer to it being deleted.

    Source: https://www.sqlite.org/lang_altertable.html, section 7. What was broken is looked for before the commit.
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


async def _migrate(engine: AsyncEngine, migrations: Migrations, steps: Steps, until: float) -> Sequence[str]:
    connection = await _connected(engine, until)
    try:
        await _lock(connection, until)
        reached = await connection.run_sync(_run, migrations, steps)
    finally:
        await connection.close()
    for version in reached:
        _logger.info("%s is at version %s: %s", place_of(engine.url), version, steps.names[version])
    return reached


def _run(connection: Connection, migrations: Migrations, steps: Steps) -> Sequence[str]:
    status = status_of(connection, migrations, steps)
    connection.rollback()  # what was read so far is no part of the transaction of the steps
    if not status.is_known:
        raise ConfigurationException([str(status.problem)])
    reached: list[str] = []
    try:
        if status.pending:
            run_steps(connection, migrations, steps, reached)
    except SQLAlchemyError as error:
        at = status.pending[min(len(reached), len(status.pending) - 1)]
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        raise MigrationFailedException(
            f"step {at} ({steps.names[at]}) was refused, and nothing was changed: {cause}"
        ) from error
    return reached


async def _connected(engine: AsyncEngine, until: float) -> AsyncConnection:
    """Wait until the database answers."""
    told = False
    while True:
        try:
            with connecting(place_of(engine.url)):
                return await engine.connect()
        except DependencyUnavailableException as error:
            if time.monotonic() >= until:
                raise
            if not told:
                _logger.warning("%s; trying again for %.0f s", message_of(error), until - time.monotonic())
            told = True
            await asyncio.sleep(_RETRY_SECONDS)


async def _lock(connection: AsyncConnection, until: float) -> None:
    """Keep other processes out until the connection ends; on SQLite the transaction of the steps itself does.

    The lock is asked for again and again: a statement that waited for it would hold up `CREATE INDEX CONCURRENTLY`
    of the process that has it, and that one would wait for the statement.
    """
    if connection.dialect.name != "postgresql":
        return
    await connection.execution_options(isolation_level="AUTOCOMMIT")
    asked = text("SELECT pg_try_advisory_lock(:key)")
    while not await connection.scalar(asked, {"key": LOCK_KEY}):
        if time.monotonic() >= until:
            place = place_of(connection.engine.url)
            raise DependencyUnavailableException("database", f"{place}: another process is still migrating it")
        await asyncio.sleep(_RETRY_SECONDS)
    await connection.execute(text(f"SET lock_timeout = '{TABLE_LOCK_SECONDS}s'"))
    await connection.rollback()
    await connection.execution_options(isolation_level="READ COMMITTED")


@asynccontextmanager
async def _alone_in_process() -> AsyncIterator[None]:
    while not _at_work.acquire(blocking=False):  # noqa: ASYNC110 - its holder may run on another event loop
        await asyncio.sleep(_RETRY_SECONDS / 10)
    try:
        yield
    finally:
        _at_work.release()
