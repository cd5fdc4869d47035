"""What a unit of work promises, on SQLite and on PostgreSQL alike."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context

import pytest
import pytest_asyncio
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cqrs.command.unit_of_work import UnitOfWork, UnitOfWorkException
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException, is_retryable
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork

METADATA = MetaData()
NOTES = Table("notes", METADATA, Column("id", Integer, primary_key=True), Column("body", Text, nullable=False))


@pytest_asyncio.fixture
async def work(engine: AsyncEngine) -> SqlUnitOfWork:
    await create_tables(engine, METADATA)
    return SqlUnitOfWork(engine)


async def write(work: SqlUnitOfWork, *ids: int) -> None:
    for note in ids:
        await work.session.execute(insert(NOTES).values(id=note, body="x"))


async def written(work: SqlUnitOfWork) -> Sequence[int]:
    async with work.reading() as session:
        return (await session.scalars(select(NOTES.c.id).order_by(NOTES.c.id))).all()


def test_it_is_the_port(engine: AsyncEngine) -> None:
    port: UnitOfWork = SqlUnitOfWork(engine)

    assert port


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["between statements", "in a statement"])
async def test_cancellation_rolls_back_and_goes_on(work: SqlUnitOfWork, where: str) -> None:
    inside = asyncio.Event()

    async def run() -> None:
        async with work.begin():
            await write(work, 1)
            inside.set()
            if where == "between statements":
                await asyncio.Event().wait()
            while True:
                await work.session.execute(select(func.count()).select_from(NOTES))

    task = asyncio.create_task(run())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await written(work) == []
    async with work.begin():
        await write(work, 1)
    assert await written(work) == [1]


@pytest.mark.asyncio
async def test_a_nested_one_that_fails_undoes_only_itself(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 1)
        with pytest.raises(IntegrityError):
            async with work.begin():
                await write(work, 2, 1)
        async with work.begin():
            await write(work, 3)
            async with work.begin():
                await write(work, 4)

    assert await written(work) == [1, 3, 4]


@pytest.mark.asyncio
async def test_reading_inside_sees_what_is_not_yet_committed(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await write(work, 1)
        assert await written(work) == [1]
        async with work.reading() as session:
            assert session is work.session


@pytest.mark.asyncio
async def test_a_session_outside_is_an_error_that_says_what_to_do(work: SqlUnitOfWork) -> None:
    with pytest.raises(UnitOfWorkException, match=r"async with unit_of_work\.begin\(\)"):
        _ = work.session
    async with work.begin():
        pass
    with pytest.raises(UnitOfWorkException, match="No unit of work is open"):
        _ = work.session


@pytest.mark.asyncio
async def test_tasks_have_their_own_sessions(work: SqlUnitOfWork) -> None:
    """Two units of work open at once never meet, also when both began before either wrote."""

    async def run(note: int) -> int:
        async with work.begin():
            await write(work, note)
            return id(work.session.sync_session)

    assert len(set(await asyncio.gather(*(run(note) for note in range(8))))) > 1
    assert await written(work) == list(range(8))


@pytest.mark.asyncio
async def test_a_task_spawned_inside_does_not_share_the_session(work: SqlUnitOfWork) -> None:
    async def use() -> object:
        return work.session

    async def nest() -> None:
        async with work.begin():
            pass

    async with work.begin():
        await write(work, 1)
        for call in (use, nest):
            with pytest.raises(UnitOfWorkException, match="belongs to another task"):
                await asyncio.create_task(call())
        assert await asyncio.create_task(written(work)) == []
        await write(work, 2)

    assert await written(work) == [1, 2]


@pytest.mark.asyncio
async def test_a_thread_does_not_share_the_session(work: SqlUnitOfWork) -> None:
    async with work.begin():
        with pytest.raises(UnitOfWorkException, match="and no thread"):
            await asyncio.to_thread(lambda: work.session)


@pytest.mark.asyncio
async def test_a_task_that_outlives_the_unit_it_was_spawned_in_is_free(work: SqlUnitOfWork) -> None:
    closed = asyncio.Event()

    async def later() -> None:
        await closed.wait()
        async with work.begin():
            await write(work, 2)

    async with work.begin():
        task = asyncio.create_task(later())
        await write(work, 1)
    closed.set()
    await task

    assert await written(work) == [1, 2]


@pytest.mark.asyncio
async def test_work_in_a_context_of_its_own_waits_or_runs_but_never_joins(work: SqlUnitOfWork) -> None:
    async def independent() -> None:
        async with work.begin():
            await write(work, 2)

    async with work.begin():
        task = asyncio.create_task(independent(), context=Context())
        await write(work, 1)
        await work.session.rollback()
    await task

    assert await written(work) == [2]


@pytest.mark.asyncio
async def test_reading_cannot_write(work: SqlUnitOfWork) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with work.reading() as session:
            await session.execute(insert(NOTES).values(id=1, body="x"))
    assert not is_retryable(caught.value)

    async with work.begin():
        await write(work, 2)
    assert await written(work) == [2]


@pytest.mark.asyncio
async def test_reading_sees_one_moment_and_blocks_nobody(work: SqlUnitOfWork) -> None:
    async with work.reading() as session:
        before = await session.scalar(select(func.count()).select_from(NOTES))
        async with work.begin():
            await write(work, 1)
        after = await session.scalar(select(func.count()).select_from(NOTES))

    assert (before, after) == (0, 0)
    assert await written(work) == [1]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statement",
    [insert(NOTES).values(id=1, body=None), text("SELECT nothing FROM nowhere"), text("not SQL")],
    ids=["constraint", "no table", "syntax"],
)
async def test_a_wrong_statement_is_not_worth_a_retry(work: SqlUnitOfWork, statement: object) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with work.begin():
            await work.session.execute(statement)  # type: ignore[call-overload]

    assert not is_retryable(caught.value)


@pytest.mark.asyncio
async def test_a_value_the_column_cannot_hold_is_not_worth_a_retry(work: SqlUnitOfWork) -> None:
    with pytest.raises(Exception, match="int") as caught:
        async with work.begin():
            await write(work, 2**70)

    assert not is_retryable(caught.value)


@pytest.mark.asyncio
async def test_a_message_with_values_stays_out_of_error_texts(work: SqlUnitOfWork) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with work.begin():
            await work.session.execute(insert(NOTES), [{"id": 1, "body": "secret"}, {"id": 1, "body": "secret"}])

    assert "secret" not in str(caught.value)


async def pass_over(work: SqlUnitOfWork) -> None:
    return None


async def try_to_read(work: SqlUnitOfWork) -> None:
    with suppress(SQLAlchemyError):
        await work.session.execute(text("SELECT 1"))


async def begin_another(work: SqlUnitOfWork) -> None:
    async with work.begin():
        pass


@pytest.mark.asyncio
@pytest.mark.parametrize("go_on", [pass_over, try_to_read, begin_another])
async def test_a_connection_that_is_lost_is_told_at_the_end_of_the_block_too(
    work: SqlUnitOfWork, go_on: Callable[[SqlUnitOfWork], Awaitable[None]]
) -> None:
    """A handler may have caught what it met: its command waits for the database all the same."""

    async def lose() -> None:
        async with work.begin():
            await write(work, 1)
            await (await work.session.connection()).invalidate()
            await go_on(work)

    with pytest.raises(DependencyUnavailableException):
        await lose()

    assert await written(work) == []


@pytest.mark.asyncio
async def test_updates_of_one_row_by_many_tasks_are_all_counted(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await work.session.execute(insert(NOTES).values(id=0, body=""))

    async def append() -> None:
        async with work.begin():
            await work.session.execute(update(NOTES).values(body=NOTES.c.body + "x"))

    await asyncio.gather(*(append() for _ in range(30)))

    async with work.reading() as session:
        assert await session.scalar(select(func.length(NOTES.c.body))) == 30


@pytest.mark.asyncio
async def test_the_check_passes(work: SqlUnitOfWork) -> None:
    await work.check()


@pytest.mark.asyncio
async def test_tables_are_created_once_however_many_start_at_once(engine: AsyncEngine) -> None:
    await asyncio.gather(*(create_tables(engine, METADATA) for _ in range(8)))
    work = SqlUnitOfWork(engine)
    async with work.begin():
        await write(work, 1)

    await create_tables(engine, METADATA)

    assert await written(work) == [1]


@pytest.mark.asyncio
async def test_an_engine_made_elsewhere_is_refused(database_url: str) -> None:
    with pytest.raises(ConfigurationException, match="create_engine"):
        SqlUnitOfWork(create_async_engine(database_url))
