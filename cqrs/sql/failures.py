"""Tell the failures of a database that is away from those of the statement that was sent to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError

from cqrs.exceptions import DependencyUnavailableException, PossiblyUnavailableException

READ_ONLY_OPTION = "cqrs_read_only"
"""The execution option of a connection that only reads."""

_CONNECT_FAILURES = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

# PostgreSQL, Appendix A "Error Codes": 08 connection exception, 53 insufficient resources, 58 system error.
_AWAY_CLASSES = frozenset({"08", "53", "58"})
_AWAY_STATES = frozenset(
    {
        "25P03",  # idle_in_transaction_session_timeout
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
# They may be the fault of the database, or of the transaction itself and of those beside it.
_BROKEN_OFF_STATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "57014",  # query_canceled: statement_timeout passed, or an administrator cancelled it
    }
)
_READ_ONLY_TRANSACTION = "25006"
_ABORTED_TRANSACTION = "25P02"

# https://www.sqlite.org/rescode.html; the low byte of an extended code is its primary code.
_AWAY_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
# https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction"
_ROLLED_BACK_SQLITE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM})


def place_of(url: URL) -> str:
    """Name the database of `url` without its user, its password or its options."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite {url.database}"
    return f"{url.get_backend_name()} {url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def replace_failure(context: ExceptionContext) -> DependencyUnavailableException | None:
    """Answer a failed statement, commit or connect with the exception that a caller can act on.

    This is SQLAlchemy's `handle_error` listener.
    """
    error = context.original_exception
    if not isinstance(error, Exception):
        return None  # a cancelled statement takes its connection with it, and goes on as a cancellation
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _ROLLED_BACK_SQLITE:
        # What follows would be committed statement by statement: the connection is not to be used further.
        context.is_disconnect, context.invalidate_pool_on_disconnect = True, False
    if context.is_disconnect or isinstance(error, OSError) or is_away(error, writing=_is_writing(context)):
        place = context.dialect.name if context.engine is None else place_of(context.engine.url)
        if context.connection is not None and _is_broken_off(error):
            return PossiblyUnavailableException("database", _detail(place, error))
        return unavailable(place, error)
    return None


def is_away(error: BaseException, *, writing: bool = True) -> bool:
    """Say whether a driver's error means that the same work can succeed later without any change.

    Errors about the statement or its values answer False, so that a message carrying a bad value is not
    tried for ever; asyncpg reports some of those as `InterfaceError`, so that class alone proves nothing.

    Args:
        error: The driver's exception, as raised or as wrapped by SQLAlchemy's adapter.
        writing: Whether a refused write means a server that became a standby; in a read-only
            session it means a wrong program.
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _AWAY_SQLITE
    if isinstance(error.__cause__, asyncpg.InvalidCachedStatementError):
        return True  # the schema changed under a prepared statement, which is prepared anew next time
    state = _state_of(error)
    if state in _AWAY_STATES or state in _BROKEN_OFF_STATES or state[:2] in _AWAY_CLASSES:
        return True
    return writing and state == _READ_ONLY_TRANSACTION


def is_aborted(error: BaseException) -> bool:
    """Say whether an error only tells that an earlier one ended the transaction."""
    state = getattr(innermost(error), "sqlstate", None)
    return isinstance(error, PendingRollbackError) or state == _ABORTED_TRANSACTION


def is_of_sqlite(error: BaseException) -> bool:
    """Say whether SQLite itself refused the statement; else its driver did, and SQLite never saw it."""
    return hasattr(innermost(error), "sqlite_errorcode")


def unavailable(place: str, error: BaseException) -> DependencyUnavailableException:
    """Make the exception that holds a message back until the database answers again."""
    return DependencyUnavailableException("database", _detail(place, error))


@contextmanager
def connecting(place: str) -> Iterator[None]:
    """Answer every failure to get a connection, a full pool and a refused password included.

    Raises:
        DependencyUnavailableException: no connection could be had.
    """
    try:
        yield
    except _CONNECT_FAILURES as error:
        raise unavailable(place, innermost(error)) from error


def lost_connection(error: SQLAlchemyError, place: str) -> DependencyUnavailableException:
    """Answer a statement that was sent over a connection already known to be lost."""
    return unavailable(place, error)


def _is_broken_off(error: Exception) -> bool:
    """Say whether the database was reached, and did not finish what it was asked for."""
    if isinstance(error, TimeoutError):
        return error.errno is None  # the driver's limit of a statement; one of the network has a number
    return _state_of(error) in _BROKEN_OFF_STATES


def _state_of(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _detail(place: str, error: BaseException) -> str:
    text = str(error).strip() or "no further detail"
    return f"{place}: {type(error).__name__}: {text}"


def _is_writing(context: ExceptionContext) -> bool:
    connection = context.connection
    return connection is None or not connection.get_execution_options().get(READ_ONLY_OPTION, False)


def innermost(error: BaseException) -> BaseException:
    """Return the driver's own error: SQLAlchemy's text repeats the statement and a link."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
