"""A SQLite file is shared by tasks and by processes: they wait for each other, within limits that say so."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from contextvars import Context
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, update

import cqrs
from cqrs.exceptions import DependencyUnavailableException
from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork

ROOT = Path(cqrs.__file__).parents[1]
METADATA = MetaData()
COUNTER = Table("counter", METADATA, Column("value", Integer))


@asynccontextmanager
async def counter_in(
    file: Path, *, busy_timeout: float = 0.1, writer_timeout: float = 30
) -> AsyncIterator[SqlUnitOfWork]:
    engine = create_engine(f"sqlite+aiosqlite:///{file}", EngineOptions(busy_timeout=busy_timeout))
    await create_tables(engine, METADATA)
    work = SqlUnitOfWork(engine, writer_timeout=writer_timeout)
    async with work.begin():
        await work.session.execute(insert(COUNTER).values(value=0))
    yield work
    await engine.dispose()


async def count(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await work.session.execute(update(COUNTER).values(value=COUNTER.c.value + 1))


async def value(work: SqlUnitOfWork) -> int | None:
    async with work.reading() as session:
        return await session.scalar(select(COUNTER.c.value))


@pytest.mark.asyncio
async def test_locked_by_another_process_for_too_long(tmp_path: Path) -> None:
    async with counter_in(tmp_path / "orders.db") as work:
        with closing(sqlite3.connect(tmp_path / "orders.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DependencyUnavailableException, match="database is locked"):
                await count(work)
            assert await value(work) == 0

        await count(work)
        assert await value(work) == 1


@pytest.mark.asyncio
async def test_locked_by_another_process_for_a_while(tmp_path: Path) -> None:
    async with counter_in(tmp_path / "orders.db", busy_timeout=30) as work:
        with closing(sqlite3.connect(tmp_path / "orders.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE counter SET value = 5")
            waiting = asyncio.create_task(count(work))
            assert await value(work) == 0
            other.execute("COMMIT")
        await waiting

        assert await value(work) == 6


@pytest.mark.asyncio
async def test_writers_of_one_process_take_turns_in_order(tmp_path: Path) -> None:
    """They do not poll for the lock: with many lanes, one that polls may never get it."""
    finished: list[int] = []

    async with counter_in(tmp_path / "orders.db", busy_timeout=0) as work:

        async def take(turn: int) -> None:
            async with work.begin():
                await work.session.execute(update(COUNTER).values(value=COUNTER.c.value + 1))
                finished.append(turn)

        await asyncio.gather(*(take(turn) for turn in range(50)))

        assert await value(work) == 50
    assert finished == list(range(50))


@pytest.mark.asyncio
async def test_a_writer_does_not_wait_for_its_turn_for_ever(tmp_path: Path) -> None:
    async with counter_in(tmp_path / "orders.db", writer_timeout=0.05) as work:
        async with work.begin():
            with pytest.raises(DependencyUnavailableException, match=r"held the one writer for 0\.05 s"):
                await asyncio.create_task(count(work), context=Context())

        await count(work)


@pytest.mark.asyncio
async def test_a_writer_that_is_cancelled_while_it_waits_leaves_the_turn_to_the_next(tmp_path: Path) -> None:
    async with counter_in(tmp_path / "orders.db") as work:
        async with work.begin():
            waiting = [asyncio.create_task(count(work), context=Context()) for _ in range(2)]
            await value(work)
            waiting[0].cancel()
        await waiting[1]

        assert waiting[0].cancelled()
        assert await value(work) == 1


@pytest.mark.asyncio
async def test_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "orders.db").write_bytes(b"not a database " * 100)
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path}/orders.db")

    with pytest.raises(DependencyUnavailableException, match="file is not a database"):
        await count(SqlUnitOfWork(engine))
    await engine.dispose()


START = """
import asyncio, sys
from sqlalchemy import Column, Integer, MetaData, Table
from cqrs.sql.engine import create_engine
from cqrs.sql.schema import create_tables

async def main():
    metadata = MetaData()
    for name in range(20):
        Table(f"t{name}", metadata, Column("id", Integer, primary_key=True))
    engine = create_engine(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    await create_tables(engine, metadata)
    await engine.dispose()

asyncio.run(main())
"""


@pytest.mark.asyncio
async def test_replicas_that_start_at_once_create_the_tables_once(database_url: str) -> None:
    pipe = asyncio.subprocess.PIPE
    async with AsyncExitStack() as running:
        replicas = []
        for _ in range(4):
            replica = await asyncio.create_subprocess_exec(
                sys.executable, "-c", START, database_url, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
            )
            running.push_async_callback(end, replica)
            replicas.append(replica)
        for replica in replicas:
            assert replica.stdout is not None
            assert await replica.stdout.readline() == b"ready\n"

        said = await asyncio.gather(*(replica.communicate(b"go\n") for replica in replicas))

    assert [(replica.returncode, error) for replica, (_, error) in zip(replicas, said, strict=True)] == [(0, b"")] * 4


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()
