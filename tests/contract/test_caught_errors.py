"""A statement whose error a handler caught is told before the commit, on SQLite and on PostgreSQL alike."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.command.unit_of_work import UnitOfWorkException
from cqrs.decorators import command_handler
from cqrs.event.emission import emit
from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException
from cqrs.messaging.failures import FailureKind, Failures
from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.types import Command

Act = Callable[[SqlUnitOfWork], Awaitable[None]]


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str]


@pytest_asyncio.fixture
async def work(engine: AsyncEngine) -> SqlUnitOfWork:
    """There is note 0 already."""
    await create_tables(engine, Base.metadata)
    work = SqlUnitOfWork(engine)
    async with work.begin():
        await write(work, 0)
    return work


async def write(work: SqlUnitOfWork, note: int) -> None:
    await work.session.execute(insert(Note).values(id=note, body="x"))


@dataclass(frozen=True)
class Pay(Command[str]):
    order: int


def writing(note: int) -> Act:
    return lambda work: write(work, note)


async def in_transaction(work: SqlUnitOfWork, *acts: Act) -> None:
    async with work.begin():
        for act in acts:
            await act(work)


async def roll_back(work: SqlUnitOfWork) -> None:
    await work.session.rollback()


async def fail(work: SqlUnitOfWork) -> None:
    with pytest.raises(IntegrityError):
        await write(work, 0)


async def fail_to_flush(work: SqlUnitOfWork) -> None:
    work.session.add(Note(id=0, body="x"))
    with pytest.raises(IntegrityError):
        await work.session.flush()


async def add_what_is_there(work: SqlUnitOfWork) -> None:
    work.session.add(Note(id=0, body="x"))


async def empty_what_is_there(work: SqlUnitOfWork) -> None:
    (await work.session.get_one(Note, 0)).body = None  # type: ignore[assignment]


async def fail_after_another_part(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 10)
    await fail(work)
    with pytest.raises(UnitOfWorkException):
        await in_transaction(work)


async def fail_after_a_part_that_failed(work: SqlUnitOfWork) -> None:
    with suppress(IntegrityError):
        await in_transaction(work, writing(0))
    await fail(work)


async def written(work: SqlUnitOfWork) -> Sequence[int]:
    async with work.reading() as session:
        return (await session.scalars(select(Note.id).order_by(Note.id))).all()


WAYS_TO_FAIL = pytest.mark.parametrize(
    "fail_somehow", [fail, fail_to_flush, fail_after_another_part, fail_after_a_part_that_failed]
)


@pytest.mark.asyncio
@WAYS_TO_FAIL
async def test_it_is_told_when_asked(work: SqlUnitOfWork, fail_somehow: Act) -> None:
    async def run() -> None:
        async with work.begin():
            await write(work, 1)
            await fail_somehow(work)
            with pytest.raises(UnitOfWorkException) as asked:
                await work.prepare()
            raise asked.value

    with pytest.raises(UnitOfWorkException, match=r"async with unit_of_work\.begin\(\)") as caught:
        await run()

    assert isinstance(caught.value.cause, IntegrityError)
    assert await written(work) == [0]


@pytest.mark.asyncio
@WAYS_TO_FAIL
async def test_it_is_told_at_the_end_of_the_block(work: SqlUnitOfWork, fail_somehow: Act) -> None:
    with pytest.raises(UnitOfWorkException, match="cannot commit"):
        await in_transaction(work, writing(1), fail_somehow)

    assert await written(work) == [0]


@pytest.mark.asyncio
async def test_what_its_transaction_is_told_of_is_of_its_kind(work: SqlUnitOfWork) -> None:
    with pytest.raises(UnitOfWorkException) as caught:
        await in_transaction(work, fail)

    wrapped = CommandProcessingException("failed", cause=caught.value)
    assert Failures().kind_of(wrapped) is FailureKind.PERMANENT
    assert Failures(transient=(IntegrityError,)).kind_of(wrapped) is FailureKind.TRANSIENT


@pytest.mark.asyncio
@pytest.mark.parametrize("fail_somehow", [fail, add_what_is_there], ids=["caught", "pending"])
async def test_a_command_publishes_nothing_of_what_cannot_commit(work: SqlUnitOfWork, fail_somehow: Act) -> None:
    attempts: list[int] = []
    published: list[object] = []

    class Publisher:
        async def publish(self, event: object, *, destination: str | None = None) -> None:
            published.append(event)

    @command_handler(retries=1, backoff_ms=1)
    class PayHandler(CommandHandler[Pay, str]):
        async def do_handle(self, command: Pay) -> str:
            attempts.append(command.order)
            emit(f"paid in attempt {len(attempts)}")
            await write(work, command.order)
            if len(attempts) < 2:
                await fail_somehow(work)
            return "paid"

    bus = DefaultCommandBus(HandlerRegistry(), event_publisher=Publisher(), unit_of_work=work)
    bus.register_handler(PayHandler())

    assert await bus.send(Pay(7)) == "paid"
    assert published == ["paid in attempt 2"]
    assert await written(work) == [0, 7]


@pytest.mark.asyncio
async def test_a_part_in_which_it_was_caught_fails_alone(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 1)
        with pytest.raises(UnitOfWorkException, match="cannot commit"):
            await in_transaction(work, writing(2), fail)
        await write(work, 3)
        await work.prepare()

    assert await written(work) == [0, 1, 3]


@pytest.mark.asyncio
async def test_a_part_that_was_undone_around_it_is_in_nobodys_way(work: SqlUnitOfWork) -> None:
    async def nest() -> None:
        async with work.begin():
            await write(work, 2)
            with suppress(UnitOfWorkException):
                await in_transaction(work, fail)
            await fail(work)
            raise KeyError

    async with work.begin():
        await write(work, 1)
        with pytest.raises(KeyError):
            await nest()
        await write(work, 3)

    assert await written(work) == [0, 1, 3]


@pytest.mark.asyncio
async def test_a_savepoint_of_sqlalchemy_may_stand_around_it_too(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 1)
        with suppress(IntegrityError):
            async with work.session.begin_nested():
                await write(work, 0)

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
async def test_a_savepoint_that_was_kept_does_not_hide_it(work: SqlUnitOfWork) -> None:
    """SQLite keeps a savepoint in which something failed; PostgreSQL refuses to."""

    async def keep() -> None:
        async with work.begin():
            await write(work, 1)
            async with work.session.begin_nested():
                await fail(work)
            async with work.session.begin_nested():
                await write(work, 2)

    with pytest.raises(Exception, match=r"abort|cannot commit"):
        await keep()

    assert await written(work) == [0]


@pytest.mark.asyncio
async def test_a_value_that_never_reached_the_database_is_in_nobodys_way(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 1)
        with pytest.raises(Exception, match="int"):
            await write(work, 2**70)
        await work.prepare()

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
async def test_objects_that_are_pending_are_written_when_asked(work: SqlUnitOfWork) -> None:
    async with work.begin():
        work.session.add(Note(id=1, body="x"))
        await work.prepare()
        assert not work.session.new

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("leave_pending", [add_what_is_there, empty_what_is_there])
async def test_objects_that_the_database_refuses_are_refused_when_asked(
    work: SqlUnitOfWork, leave_pending: Act
) -> None:
    async with work.begin():
        with pytest.raises(IntegrityError):
            await in_transaction(work, leave_pending, SqlUnitOfWork.prepare)


@pytest.mark.asyncio
async def test_a_handler_may_roll_everything_back_itself(work: SqlUnitOfWork) -> None:
    await in_transaction(work, fail_to_flush, roll_back, SqlUnitOfWork.prepare)
    await in_transaction(work, fail, roll_back, writing(1))

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
async def test_what_fails_after_its_own_rollback_is_told_as_well(work: SqlUnitOfWork) -> None:
    with pytest.raises(UnitOfWorkException, match="cannot commit"):
        await in_transaction(work, roll_back, writing(1), fail)

    assert await written(work) == [0]


@pytest.mark.asyncio
async def test_a_statement_that_was_cut_off_took_the_connection_with_it(work: SqlUnitOfWork) -> None:
    async def run() -> None:
        async with work.begin():
            await write(work, 1)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await work.session.execute(text("SELECT 1"))
            task.uncancel()
            await work.prepare()

    with pytest.raises(DependencyUnavailableException):
        await run()

    assert await written(work) == [0]


@pytest.mark.asyncio
async def test_what_fails_elsewhere_is_in_nobodys_way(work: SqlUnitOfWork, engine: AsyncEngine) -> None:
    async def read() -> None:
        async with work.reading() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))

    async def look() -> None:
        async with engine.execution_options(cqrs_read_only=True).connect() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))

    async with work.begin():
        await write(work, 1)
        for elsewhere in (read, look):
            with pytest.raises(Exception, match="nowhere"):
                await asyncio.create_task(elsewhere())

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
async def test_the_next_transaction_on_the_connection_knows_nothing_of_it(work: SqlUnitOfWork) -> None:
    for _ in range(3):
        with pytest.raises(UnitOfWorkException):
            await in_transaction(work, fail)
    await in_transaction(work, writing(1))

    assert await written(work) == [0, 1]


@pytest.mark.asyncio
async def test_asking_costs_nothing_while_nothing_failed(work: SqlUnitOfWork, engine: AsyncEngine) -> None:
    said: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    async with work.begin():
        await write(work, 1)
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        await work.prepare()

    assert said == []


@pytest.mark.asyncio
async def test_asking_outside_is_an_error_that_says_what_to_do(work: SqlUnitOfWork) -> None:
    with pytest.raises(UnitOfWorkException, match="No unit of work is open"):
        await work.prepare()


@pytest.mark.postgres
@pytest.mark.asyncio
@pytest.mark.parametrize("then", [(), (writing(2),)], ids=["nothing", "another statement"])
async def test_a_statement_that_takes_too_long_is_told_although_its_error_was_caught(
    postgres_url: str, then: Sequence[Act]
) -> None:
    """A query that a handler can do without has ended its transaction: the command waits, and is no dead letter."""

    async def sleep(work: SqlUnitOfWork) -> None:
        with suppress(DependencyUnavailableException):
            await work.session.execute(text("SELECT pg_sleep(60)"))

    engine = create_engine(postgres_url, EngineOptions(statement_timeout=0.2))
    await create_tables(engine, Base.metadata)
    work = SqlUnitOfWork(engine)

    with pytest.raises(DependencyUnavailableException, match="TimeoutError"):
        await in_transaction(work, writing(1), sleep, *then)

    assert await written(work) == []
    await engine.dispose()


@pytest.mark.asyncio
async def test_a_full_disk_is_told_although_its_error_was_caught(tmp_path: Path) -> None:
    """SQLite rolls a transaction back by itself when it cannot write, and goes on without one."""

    async def fill(work: SqlUnitOfWork) -> None:
        await work.session.execute(text("PRAGMA max_page_count = 3"))
        with suppress(DependencyUnavailableException):
            await work.session.execute(insert(Note).values(id=2, body="x" * 100_000))

    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path}/orders.db")
    await create_tables(engine, Base.metadata)
    work = SqlUnitOfWork(engine)

    for goes_on in ((), (writing(3),)):
        with pytest.raises(DependencyUnavailableException, match="full"):
            await in_transaction(work, writing(1), fill, *goes_on)
        assert await written(work) == []
    await engine.dispose()
