"""Make an engine whose transactions are what they look like, on SQLite as on PostgreSQL."""

import inspect
import sqlite3
import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import asyncpg
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from cqrs.exceptions import ConfigurationException
from cqrs.sql.failed_statement import note_failures
from cqrs.sql.failures import READ_ONLY_OPTION, replace_failure
from cqrs.sql.pinging import ping_after_rest

POSTGRESQL_DRIVER = "postgresql+asyncpg"
SQLITE_DRIVER = "sqlite+aiosqlite"

_POSTGRESQL_NAMES = frozenset({"postgres", "postgresql", "psql", "pg"})
_QUERY_ONLY = "cqrs_query_only"
_PRIMARY_CODE = 0xFF  # https://www.sqlite.org/rescode.html: an extended code holds its primary one in the low byte
# What SQLAlchemy's own asyncpg dialect takes out of the query before asyncpg sees it.
_DIALECT_OPTIONS = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func", "async_creator_fn"})
_SECONDS = ("timeout", "command_timeout")
_LIBPQ_OPTIONS = {"sslmode": "ssl", "connect_timeout": "timeout", "dbname": "database"}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Say how many connections are kept and how long each wait may take; times are in seconds.

    Attributes:
        pool_size: Connections kept open.
        max_overflow: Connections opened beyond those under load, and closed again.
        pool_timeout: Wait for a free connection.
        connect_timeout: Wait for PostgreSQL to accept a connection.
        statement_timeout: Wait for PostgreSQL to answer one statement, less than a handler may take: past its own limit
            it is not run again. None waits as long as it takes.
        busy_timeout: Wait for another process to release SQLite's write lock.
    """

    pool_size: int = 10
    max_overflow: int = 10
    pool_timeout: float = 10.0
    connect_timeout: float = 5.0
    statement_timeout: float | None = 20.0
    busy_timeout: float = 5.0


def create_engine(url: str, options: EngineOptions | None = None) -> AsyncEngine:
    """Make the engine for a database URL; no connection is opened yet.

    A database that is away raises `DependencyUnavailableException` from every statement of this engine.

    Args:
        url: `postgresql+asyncpg://user:password@host:5432/name` or `sqlite+aiosqlite:///file.db`.
        options: Pool sizes and time limits.

    Raises:
        ConfigurationException: the URL names no supported async driver; the password is never repeated.
    """
    parsed = parse_url(url)
    chosen = options or EngineOptions()
    engine = _sqlite_engine(parsed, chosen) if _is_sqlite(parsed) else _postgresql_engine(parsed, chosen)
    event.listen(engine.sync_engine, "handle_error", replace_failure)
    note_failures(engine)  # after it: what it makes of an error is what the handler is told
    return engine


def is_tuned(engine: AsyncEngine) -> bool:
    """Say whether `engine` was made by `create_engine`."""
    return event.contains(engine.sync_engine, "handle_error", replace_failure)


def is_in_full_use(engine: AsyncEngine) -> bool:
    """Say whether every connection that `engine` may open is in use."""
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedout() >= pool.size() + pool._max_overflow  # noqa: SLF001 - told nowhere else


def parse_url(url: str) -> URL:
    """Read a database URL and check that this package can serve it.

    Raises:
        ConfigurationException: with what to write instead.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without its cause: the library's message may repeat the text it was given, password included.
        raise ConfigurationException(
            [
                f"DATABASE_URL is not a URL; write {POSTGRESQL_DRIVER}://user:password@host:5432/name "
                f"or {SQLITE_DRIVER}:///file.db, with special characters of the password percent-encoded."
            ]
        ) from None
    problems = _problems(parsed)
    if problems:
        raise ConfigurationException(problems)
    return parsed


def _problems(url: URL) -> list[str]:
    if url.drivername == SQLITE_DRIVER:
        return _sqlite_problems(url)
    if url.drivername == POSTGRESQL_DRIVER:
        return _postgresql_problems(url)
    return [_driver_problem(url)]


def _driver_problem(url: URL) -> str:
    backend = url.get_backend_name()
    wanted = SQLITE_DRIVER if backend == "sqlite" else POSTGRESQL_DRIVER
    shown = f"DATABASE_URL begins with {url.drivername}://"
    if backend == "sqlite" or backend in _POSTGRESQL_NAMES:
        return f"{shown}, which is not an async driver; write {_shown(url, wanted)}"
    return f"{shown}, which is not supported; write {POSTGRESQL_DRIVER}://... or {SQLITE_DRIVER}:///file.db"


def _shown(url: URL, drivername: str) -> str:
    """Spell the URL with the right driver, the password masked and the query, which may hold one, left out."""
    return url.set(drivername=drivername, query={}).render_as_string(hide_password=True)


def _sqlite_problems(url: URL) -> list[str]:
    if url.host:
        return [f"DATABASE_URL has two slashes where SQLite needs three; write {SQLITE_DRIVER}:///{url.host}"]
    if url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory":
        return [f"DATABASE_URL keeps SQLite in memory, gone with its connection; write {SQLITE_DRIVER}:///file.db"]
    return []


def _postgresql_problems(url: URL) -> list[str]:
    known = set(inspect.signature(asyncpg.connect).parameters) | _DIALECT_OPTIONS
    unknown = [_option_problem(name, known) for name in url.query if name not in known]
    return unknown + [
        f"DATABASE_URL has {name}={url.query[name]}; write seconds, as {name}=5"
        for name in _SECONDS
        if name in url.query and not _is_seconds(url.query[name])
    ]


def _is_seconds(value: object) -> bool:
    try:
        return float(str(value)) > 0
    except ValueError:
        return False


def _option_problem(name: str, known: set[str]) -> str:
    near = [_LIBPQ_OPTIONS[name]] if name in _LIBPQ_OPTIONS else get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "asyncpg.connect lists what there is."
    return f"DATABASE_URL has the option {name!r}, which asyncpg does not know; {hint}"


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _postgresql_engine(url: URL, options: EngineOptions) -> AsyncEngine:
    # The driver wants numbers where the query of a URL has text.
    limits: dict[str, object] = {"timeout": options.connect_timeout, "command_timeout": options.statement_timeout}
    given = {name: url.query.get(name, limits[name]) for name in _SECONDS}
    engine = create_async_engine(
        url,
        pool_size=options.pool_size,
        max_overflow=options.max_overflow,
        pool_timeout=options.pool_timeout,
        hide_parameters=True,
        connect_args={name: float(str(value)) for name, value in given.items() if value is not None},
    )
    ping_after_rest(engine)
    return engine


def _sqlite_engine(url: URL, options: EngineOptions) -> AsyncEngine:
    _make_folder(Path(str(url.database)))
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,  # not every release of SQLAlchemy takes it for files by itself
        pool_size=options.pool_size,
        max_overflow=options.max_overflow,
        pool_timeout=options.pool_timeout,
        hide_parameters=True,
        connect_args={"timeout": options.busy_timeout},
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _: _tune_sqlite(connection, options.busy_timeout))
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        named = "DATABASE_URL names it, or STATE_PATH when that is not set"
        problem = f"cannot make the folder of SQLite's file {file}: {error.strerror}; {named}"
        raise ConfigurationException([problem]) from error


def _tune_sqlite(connection: DBAPIConnection, busy_timeout: float) -> None:
    # The driver's own idea of transactions begins them late and breaks SAVEPOINT: we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    _switch_to_wal(cursor, busy_timeout)
    # FULL: a commit is on the disk before the message's offset moves past it.
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _switch_to_wal(cursor: DBAPICursor, busy_timeout: float) -> None:
    """Switch to write-ahead logging, which does not wait for its lock by itself as other statements do.

    Processes that open a new file at once meet there; BEGIN IMMEDIATE does wait, so it stands in for the waiting.
    """
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """Begin as a writer at once: a reader that turns writer half-way meets "database is locked" without a wait."""
    reads = bool(connection.get_execution_options().get(READ_ONLY_OPTION, False))
    if connection.info.get(_QUERY_ONLY, False) is not reads:
        connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reads else 'OFF'}")
        connection.info[_QUERY_ONLY] = reads
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
