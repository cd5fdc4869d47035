"""A database that is away is told apart from a statement that can never succeed."""

import asyncio
import errno
import sqlite3
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import ExceptionContext

from cqrs.exceptions import DependencyUnavailableException, PossiblyUnavailableException
from cqrs.sql.failures import connecting, is_away, place_of, replace_failure, unavailable


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.PostgresConnectionError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.SerializationError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.QueryCanceledError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
        sqlite_error(sqlite3.SQLITE_BUSY),
        sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT),
        sqlite_error(sqlite3.SQLITE_LOCKED),
        sqlite_error(sqlite3.SQLITE_IOERR_FSYNC),
        sqlite_error(sqlite3.SQLITE_FULL),
        sqlite_error(sqlite3.SQLITE_CANTOPEN),
    ],
    ids=repr,
)
def test_away(error: Exception) -> None:
    assert is_away(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError(),
        asyncpg.NotNullViolationError(),
        asyncpg.UndefinedTableError(),
        asyncpg.PostgresSyntaxError(),
        asyncpg.NumericValueOutOfRangeError(),
        asyncpg.InFailedSQLTransactionError(),
        asyncpg.InterfaceError("another operation is in progress"),
        asyncpg.DataError("value out of int32 range"),
        sqlite_error(sqlite3.SQLITE_ERROR),
        sqlite_error(sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        sqlite_error(sqlite3.SQLITE_READONLY),
        sqlite3.InterfaceError(),
        ValueError(),
    ],
    ids=repr,
)
def test_not_away(error: Exception) -> None:
    assert not is_away(error)


def test_a_refused_write_is_a_wrong_program_only_in_a_session_that_reads() -> None:
    assert is_away(asyncpg.ReadOnlySQLTransactionError(), writing=True)
    assert not is_away(asyncpg.ReadOnlySQLTransactionError(), writing=False)


def failing(
    error: BaseException, *, disconnect: bool = False, connection: SimpleNamespace | None = None
) -> ExceptionContext:
    """What SQLAlchemy tells of a failed call, as far as it is read."""
    engine = SimpleNamespace(url=make_url("postgresql+asyncpg://u:hush@db/orders"))
    return cast(
        "ExceptionContext",
        SimpleNamespace(original_exception=error, is_disconnect=disconnect, engine=engine, connection=connection),
    )


@pytest.mark.parametrize(
    "context",
    [
        failing(ConnectionResetError("reset by peer")),
        failing(asyncpg.AdminShutdownError("terminating connection")),
        failing(RuntimeError("socket gone"), disconnect=True),
    ],
)
def test_a_failed_call_is_replaced_when_the_database_is_away(context: ExceptionContext) -> None:
    replaced = replace_failure(context)

    assert isinstance(replaced, DependencyUnavailableException)
    assert "postgresql db:5432/orders: " in str(replaced)


@pytest.mark.parametrize(
    ("error", "disconnect"),
    [
        (TimeoutError(), True),
        (asyncpg.SerializationError("as it says"), False),
        (asyncpg.DeadlockDetectedError("as it says"), False),
        (asyncpg.LockNotAvailableError("as it says"), False),
        (asyncpg.QueryCanceledError("as it says"), False),
    ],
    ids=repr,
)
def test_what_the_database_broke_off_may_be_the_fault_of_either(error: Exception, disconnect: bool) -> None:
    connection = SimpleNamespace(get_execution_options=dict)

    replaced = replace_failure(failing(error, disconnect=disconnect, connection=connection))

    assert type(replaced) is PossiblyUnavailableException


@pytest.mark.parametrize(
    "error",
    [TimeoutError(errno.ETIMEDOUT, "timed out"), ConnectionResetError(), asyncpg.AdminShutdownError("bye")],
    ids=repr,
)
def test_a_connection_that_is_lost_is_nobodys_fault(error: Exception) -> None:
    connection = SimpleNamespace(get_execution_options=dict)

    assert type(replace_failure(failing(error, connection=connection))) is DependencyUnavailableException


def test_a_connection_that_cannot_be_had_in_time_is_nobodys_fault() -> None:
    assert type(replace_failure(failing(TimeoutError()))) is DependencyUnavailableException


@pytest.mark.parametrize(
    "context",
    [
        failing(asyncpg.UniqueViolationError("duplicate key")),
        failing(asyncio.CancelledError(), disconnect=True),
    ],
    ids=["its own mistake", "a cancellation"],
)
def test_any_other_is_left_alone(context: ExceptionContext) -> None:
    assert replace_failure(context) is None


def test_a_plan_that_a_migration_outdated_is_worth_another_try() -> None:
    wrapped = RuntimeError()
    wrapped.__cause__ = asyncpg.InvalidCachedStatementError()

    assert is_away(wrapped)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+asyncpg://u:hush@db:5433/orders?password=hush", "postgresql db:5433/orders"),
        ("postgresql+asyncpg:///orders", "postgresql localhost:5432/orders"),
        ("sqlite+aiosqlite:///var/orders.db", "SQLite var/orders.db"),
    ],
)
def test_a_place_is_named_without_secrets(url: str, place: str) -> None:
    assert place_of(make_url(url)) == place


def test_the_exception_says_where_and_what() -> None:
    error = unavailable("postgresql db:5432/orders", ConnectionRefusedError("refused"))

    assert str(error) == "database is unavailable: postgresql db:5432/orders: ConnectionRefusedError: refused"
    assert str(unavailable("here", TimeoutError())).endswith("here: TimeoutError: no further detail")
    assert error.retryable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.InvalidPasswordError("refused"),
        asyncpg.InterfaceError("closed"),
    ],
    ids=repr,
)
def test_whatever_keeps_a_connection_from_opening_is_unavailability(error: Exception) -> None:
    with pytest.raises(DependencyUnavailableException) as caught, connecting("here"):
        raise error

    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TypeError("a bug")], ids=repr)
def test_cancellation_and_bugs_are_left_alone(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, connecting("here"):
        raise error

    assert caught.value is error
