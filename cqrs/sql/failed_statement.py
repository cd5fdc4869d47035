"""Know of a statement that failed in an open transaction, also when its error was caught.

PostgreSQL refuses whatever follows such a statement, and answers COMMIT with a rollback that is no error. SQLite
commits the rest. Nothing is done here for a transaction in which every statement succeeds, but to say whose it is.
"""

from types import TracebackType
from typing import Self

from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session, SessionTransaction

from cqrs.exceptions import BrokenOffException, PossiblyUnavailableException
from cqrs.sql.commits import Commits
from cqrs.sql.failures import is_aborted

_NOTE = "cqrs_failed_statement"


class FailedStatement:
    """Remember what failed in one unit of work, until a rollback to a savepoint before it undoes it.

    Args:
        commits: Those of all units of work.

    Attributes:
        error: What the handler was told; None when nothing failed that was not undone.
        connection: The connection of the transaction.
    """

    __slots__ = ("_begun_at", "_commits", "_depth", "_listened_to", "connection", "error")

    connection: Connection

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._begun_at = 0.0
        self.error: BaseException | None = None
        self._depth = 0
        self._listened_to: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.forget()  # its traceback holds the frames that hold this

    @property
    def info(self) -> dict[str, object]:
        """Return what tells a `WatchedSession` that it is the one of this unit of work."""
        return {_NOTE: self}

    def begin(self, connection: Connection) -> None:
        """Take note of a transaction that begins: the first, or one after the handler's own rollback."""
        self.forget()
        self._begun_at = self._commits.now()
        self.connection = connection
        connection.info[_NOTE] = self

    def blamed(self, error: BaseException) -> BrokenOffException | None:
        """Return what stands for `error` when the database serves others: the fault is this transaction's own."""
        if isinstance(error, PossiblyUnavailableException) and self._commits.serves_others(self._begun_at):
            return BrokenOffException(error.dependency, error.detail)
        return None

    def note(self, error: BaseException, statement: str | None) -> None:
        """Take note that `statement` failed; in the savepoint that is open now, if one is."""
        if self.error is None:
            self._follow_savepoints()
            self._depth = 0
        elif statement is not None and statement.startswith("SAVEPOINT "):
            self._depth -= 1  # it was told of before, and is none
        if self.error is None or (self._depth == 0 and not is_aborted(error)):
            self.error = error

    def forget(self) -> None:
        """Take note that nothing stands in the way of the commit."""
        self.error = None

    def _follow_savepoints(self) -> None:
        """Be told of savepoints from now on; those of a transaction in which nothing failed are of no interest."""
        if self._listened_to is not self.connection:
            self._listened_to = self.connection
            event.listen(self.connection, "savepoint", self._opened)
            event.listen(self.connection, "release_savepoint", self._released)
            event.listen(self.connection, "rollback_savepoint", self._rolled_back)

    def _opened(self, _connection: Connection, _name: str | None) -> None:
        self._depth += 1

    def _released(self, _connection: Connection, _name: str, _context: None) -> None:
        self._depth = max(self._depth - 1, 0)  # what failed in it belongs to the one around it

    def _rolled_back(self, _connection: Connection, _name: str, _context: None) -> None:
        self._depth -= 1
        if self._depth < 0:
            self.forget()


class WatchedSession(Session):
    """Be a session whose failed statements a `FailedStatement` learns of."""


def note_failures(engine: AsyncEngine) -> None:
    """Have every failed statement of the watched sessions of `engine` noted."""
    event.listen(engine.sync_engine, "handle_error", _note)


@event.listens_for(WatchedSession, "after_begin")
def _begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        failed: FailedStatement = session.info[_NOTE]
        failed.begin(connection)


def _note(context: ExceptionContext) -> BrokenOffException | None:
    connection = context.connection
    if connection is None or connection.closed or connection.invalidated:
        return None
    failed: FailedStatement | None = connection.info.get(_NOTE)
    # The connection of the driver, and what is noted on it, outlives the transaction: the next one may be another's.
    if failed is None or failed.connection is not connection:
        return None
    replaced: BaseException | None = getattr(context, "chained_exception", None)  # not there before one is
    told = replaced or context.sqlalchemy_exception or context.original_exception
    blamed = failed.blamed(told)
    failed.note(blamed or told, context.statement)
    return blamed
