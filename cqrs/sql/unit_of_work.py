"""The unit of work on SQLAlchemy: one session, one transaction, of one task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from cqrs.command.unit_of_work import UnitOfWorkException
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException, is_retryable, message_of
from cqrs.sql.commits import Commits
from cqrs.sql.engine import is_in_full_use, is_tuned
from cqrs.sql.failed_statement import FailedStatement, WatchedSession
from cqrs.sql.failures import (
    READ_ONLY_OPTION,
    connecting,
    innermost,
    is_aborted,
    is_of_sqlite,
    lost_connection,
    place_of,
)


@dataclass(slots=True)
class _Work:
    """Be one open transaction."""

    session: AsyncSession
    failed: FailedStatement
    owner: asyncio.Task[object] | None
    closed: bool = False


class SqlUnitOfWork:
    """Run each command in a transaction of its own.

    A session belongs to the task that opened it. A task spawned inside (`asyncio.gather`, `create_task`, and on
    Python 3.11 also `asyncio.wait_for`) inherits the context but not the session, because a database connection
    carries one conversation at a time: there, `session` and `begin()` raise, and `reading()` opens a session of
    its own, which does not see what is not yet committed. Once the unit of work is closed, such a task is as free
    as any other.

    A statement that fails ends the transaction, also on SQLite, and also when the handler catches the error: only a
    savepoint around it, `async with unit_of_work.begin():`, undoes that part alone.

    On SQLite, which has one writer, units of work of this object wait for each other in order of arrival.

    Args:
        engine: Made by `cqrs.sql.engine.create_engine`.
        writer_timeout: Seconds that a unit of work waits for its turn on SQLite.

    Raises:
        ConfigurationException: the engine was made otherwise, so that its transactions and errors are not ours.
    """

    def __init__(self, engine: AsyncEngine, *, writer_timeout: float = 30.0) -> None:
        if not is_tuned(engine):
            raise ConfigurationException(
                [
                    "SqlUnitOfWork needs an engine from cqrs.sql.engine.create_engine(url): another one does not begin "
                    "SQLite's transactions as it must, nor say when the database is away."
                ]
            )
        self._engine = engine
        self._readers = engine.execution_options(**_reading_options(engine))
        self._place = place_of(engine.url)
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self._writer_timeout = writer_timeout
        self._commits = Commits()
        # Of the object, not of the module: two databases have two open units. The object lives as long as the process.
        self._current: ContextVar[_Work | None] = ContextVar("cqrs_sql_work", default=None)

    @property
    def session(self) -> AsyncSession:
        """Return the session of the unit of work that this task has open.

        Raises:
            UnitOfWorkException: none is open, or it belongs to another task.
        """
        work = self._open_work()
        if work is None:
            raise _none_is_open()
        return self._own(work).session

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        """Open a transaction, or a savepoint in the one that is open: left well it commits, else it rolls back.

        Raises:
            DependencyUnavailableException: the database cannot be reached, or went away meanwhile.
            PossiblyUnavailableException: it broke the transaction off, by a time limit or for a conflict.
            BrokenOffException: it did so while other transactions of this object committed.
            UnitOfWorkException: another task has a unit of work open, and this one was spawned inside it; or a
                statement failed in the block, and its error was caught there.
        """
        work = self._open_work()
        async with self._transaction() if work is None else self._savepoint(self._own(work)):
            yield

    async def prepare(self) -> None:
        """Write what is pending, and find out whether the transaction, or savepoint, that is open can still commit.

        The database is asked only when something failed in it. A constraint that is declared DEFERRED is checked by the
        commit alone.

        Raises:
            UnitOfWorkException: a statement failed and its error was caught; or no unit of work of this task is open.
            DependencyUnavailableException, BrokenOffException: as `begin` raises them.
            DBAPIError: what is pending was refused.
        """
        work = self._open_work()
        if work is None:
            raise _none_is_open()
        await self._prepare(self._own(work))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Give this task's open session, or a short one that can only read and sees one moment of the database.

        Raises:
            DependencyUnavailableException: the database cannot be reached.
        """
        work = self._open_work()
        if work is not None and work.owner is _this_task():
            yield work.session
            return
        async with AsyncSession(self._readers) as session:
            await self._connect(session)
            yield session

    async def check(self) -> None:
        """Ask the database for an answer, for a readiness probe.

        While every connection is in use it is not asked: those who use them learn what it has to say, and waiting for
        one of them says nothing of the database.

        Raises:
            DependencyUnavailableException: it gives none.
        """
        if is_in_full_use(self._engine):
            return
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        with FailedStatement(self._commits) as failed:
            async with self._writer(), self._watched(failed) as session:
                await self._connect(session)
                work = _Work(session, failed, _this_task())
                async with self._answering(work):
                    token = self._current.set(work)
                    try:
                        yield
                        await self._prepare(work)
                    finally:
                        work.closed = True
                        self._current.reset(token)
                    await session.commit()
                    self._commits.note()

    def _watched(self, failed: FailedStatement) -> AsyncSession:
        return AsyncSession(self._engine, sync_session_class=WatchedSession, info=failed.info, expire_on_commit=False)

    @asynccontextmanager
    async def _savepoint(self, work: _Work) -> AsyncIterator[None]:
        async with self._answering(work), work.session.begin_nested():
            yield
            await self._prepare(work)

    @asynccontextmanager
    async def _answering(self, work: _Work) -> AsyncIterator[None]:
        """Answer for a database that was away earlier in the block: what follows only hears of a rollback."""
        try:
            yield
        except (PendingRollbackError, DBAPIError) as error:
            if not is_aborted(error):
                raise
            first = work.failed.error
            if first is not None and is_retryable(first):
                raise first from first.__cause__
            if work.failed.connection.invalidated:
                raise lost_connection(error, self._place) from error
            raise

    async def _prepare(self, work: _Work) -> None:
        session, failed = work.session, work.failed
        if failed.error is not None or failed.connection.invalidated or not session.is_active:
            await self._ask(work)
        if session.new or session.dirty or session.deleted:
            await session.flush()

    async def _ask(self, work: _Work) -> None:
        """Ask whether what failed has ended the transaction: not every error of a driver does."""
        try:
            async with self._answering(work):
                await work.session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise _cannot_commit(work.failed.error or error) from error
        first = work.failed.error
        if self._engine.dialect.name == "sqlite" and first is not None:
            # It would commit the rest: what a handler may do is not to depend on the database that it is tried on.
            if is_retryable(first):
                raise first from first.__cause__
            if is_of_sqlite(first):
                raise _cannot_commit(first) from first
        work.failed.forget()

    async def _connect(self, session: AsyncSession) -> None:
        with connecting(self._place):
            await session.connection()

    def _writer(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._turn is None else self._turn_of(self._turn)

    @asynccontextmanager
    async def _turn_of(self, turn: asyncio.Lock) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._writer_timeout):
                await turn.acquire()
        except TimeoutError as error:
            seconds = f"{self._writer_timeout:g} s"
            raise DependencyUnavailableException(
                "database", f"{self._place}: other transactions of this process held the one writer for {seconds}"
            ) from error
        try:
            yield
        finally:
            turn.release()

    def _open_work(self) -> _Work | None:
        work = self._current.get()
        return None if work is None or work.closed else work

    def _own(self, work: _Work) -> _Work:
        if work.owner is not _this_task():
            raise UnitOfWorkException(
                "The open unit of work belongs to another task, and a session serves one task, and no thread. Await "
                "the calls one after the other, limit their time by `async with asyncio.timeout(...)`, which needs no "
                "task, or start independent work by `create_task(..., context=contextvars.Context())`."
            )
        return work


def _none_is_open() -> UnitOfWorkException:
    return UnitOfWorkException(
        "No unit of work is open. The command bus opens one for each command; elsewhere write "
        "`async with unit_of_work.begin():`, or `async with unit_of_work.reading() as session:` for a query."
    )


def _cannot_commit(error: BaseException) -> UnitOfWorkException:
    cause = innermost(error)
    return UnitOfWorkException(
        f"The transaction cannot commit: a statement failed in it ({type(cause).__name__}: {message_of(cause)}), and "
        "the error was caught. Wrap what may fail in `async with unit_of_work.begin():`, which undoes that part alone, "
        "or let the error go on.",
        error if isinstance(error, Exception) else None,
    )


def _this_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # a thread, as `asyncio.to_thread` starts one: it inherits the context, and has no task


def _reading_options(engine: AsyncEngine) -> dict[str, object]:
    if engine.dialect.name == "postgresql":
        return {READ_ONLY_OPTION: True, "postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    return {READ_ONLY_OPTION: True}
