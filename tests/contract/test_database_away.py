"""A PostgreSQL that is away is a retryable `DependencyUnavailableException`, and is used again once it is back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

from cqrs.exceptions import (
    BrokenOffException,
    DependencyUnavailableException,
    PossiblyUnavailableException,
    is_retryable,
)
from cqrs.sql import pinging
from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.testing.postgres_server import PostgresServer

METADATA = MetaData()
COUNTERS = Table("counters", METADATA, Column("id", Integer, primary_key=True), Column("value", Integer))

postgres = pytest.mark.postgres


@asynccontextmanager
async def work_on(url: str, options: EngineOptions | None = None) -> AsyncIterator[SqlUnitOfWork]:
    engine = create_engine(url, options)
    try:
        yield SqlUnitOfWork(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def prepared(url: str, options: EngineOptions | None = None) -> AsyncIterator[SqlUnitOfWork]:
    engine = create_engine(url)
    await create_tables(engine, METADATA)
    async with engine.begin() as connection:
        await connection.execute(insert(COUNTERS), [{"id": 1, "value": 0}, {"id": 2, "value": 0}])
    await engine.dispose()
    async with work_on(url, options) as work:
        yield work


async def add(work: SqlUnitOfWork, counter: int) -> None:
    await work.session.execute(update(COUNTERS).where(COUNTERS.c.id == counter).values(value=COUNTERS.c.value + 1))


async def values(work: SqlUnitOfWork) -> list[int | None]:
    async with work.reading() as session:
        return list((await session.scalars(select(COUNTERS.c.value).order_by(COUNTERS.c.id))).all())


async def begin(work: SqlUnitOfWork) -> None:
    async with work.begin():
        pass


async def add_in_transaction(work: SqlUnitOfWork) -> None:
    async with work.begin():
        await add(work, 1)


async def read(work: SqlUnitOfWork) -> None:
    async with work.reading():
        pass


async def check(work: SqlUnitOfWork) -> None:
    await work.check()


@pytest.mark.asyncio
@pytest.mark.parametrize("call", [begin, read, check])
async def test_nobody_listens(call: Callable[[SqlUnitOfWork], Awaitable[None]]) -> None:
    async with work_on("postgresql+asyncpg://u:hush@127.0.0.1:1/orders") as work:
        with pytest.raises(DependencyUnavailableException) as caught:
            await call(work)

    assert str(caught.value).startswith("database is unavailable: postgresql 127.0.0.1:1/orders: ")
    assert "hush" not in str(caught.value)


@pytest.mark.asyncio
async def test_tables_cannot_be_created() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/orders")

    with pytest.raises(DependencyUnavailableException):
        await create_tables(engine, METADATA)

    await engine.dispose()


@postgres
@pytest.mark.asyncio
@pytest.mark.parametrize(("part", "unknown"), [("database", "nothing_here"), ("username", "nobody_known")])
async def test_the_server_refuses_the_connection(postgres_url: str, part: str, unknown: str) -> None:
    wrong = make_url(postgres_url).set(**{part: unknown})  # type: ignore[arg-type]

    async with work_on(wrong.render_as_string(hide_password=False)) as work:
        with pytest.raises(DependencyUnavailableException, match=unknown):
            await begin(work)


@postgres
@pytest.mark.asyncio
async def test_a_server_that_crashes_in_a_transaction_and_comes_back(own_postgres: PostgresServer) -> None:
    async def fail_in_the_middle(work: SqlUnitOfWork) -> None:
        async with work.begin():
            await add(work, 1)
            own_postgres.stop("immediate")
            await add(work, 2)

    async with prepared(own_postgres.url()) as work:
        with pytest.raises(DependencyUnavailableException):
            await fail_in_the_middle(work)
        with pytest.raises(DependencyUnavailableException):
            await begin(work)

        own_postgres.start()

        assert await values(work) == [0, 0]
        await add_in_transaction(work)
        assert await values(work) == [1, 0]


@postgres
@pytest.mark.asyncio
async def test_a_server_that_restarts_while_connections_rest_is_not_even_noticed(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinging, "REST_SECONDS", 0.0)
    async with prepared(own_postgres.url()) as work:
        assert await values(work) == [0, 0]
        own_postgres.stop("fast")
        own_postgres.start()

        await add_in_transaction(work)

        assert await values(work) == [1, 0]


@postgres
@pytest.mark.asyncio
async def test_a_server_that_restarts_right_after_a_use_is_noticed_once(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinging, "REST_SECONDS", 600.0)
    async with prepared(own_postgres.url()) as work:
        await asyncio.gather(values(work), values(work), values(work))
        own_postgres.stop("fast")
        own_postgres.start()

        with pytest.raises(DependencyUnavailableException):
            await add_in_transaction(work)

        assert list(await asyncio.gather(values(work), values(work), values(work))) == [[0, 0]] * 3


@postgres
@pytest.mark.asyncio
@pytest.mark.parametrize(("rest_seconds", "pings"), [(600.0, 0), (0.0, 2)])
async def test_only_a_connection_that_has_rested_is_asked(
    postgres_url: str, rest_seconds: float, pings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    ping: Callable[..., bool] = PGDialect_asyncpg.do_ping

    def counted(dialect: PGDialect_asyncpg, connection: DBAPIConnection) -> bool:
        asked.append(connection)
        return ping(dialect, connection)

    monkeypatch.setattr(PGDialect_asyncpg, "do_ping", counted)
    monkeypatch.setattr(pinging, "REST_SECONDS", rest_seconds)
    async with prepared(postgres_url) as work:
        asked.clear()
        for _ in range(3):  # the first one opens the connection
            await add_in_transaction(work)

    assert len(asked) == pings


@postgres
@pytest.mark.asyncio
async def test_a_savepoint_over_a_lost_connection_is_unavailability_too(own_postgres: PostgresServer) -> None:
    """A handler that is tried again in the same transaction must not look like a broken program."""

    async def try_twice(work: SqlUnitOfWork) -> None:
        async with work.begin():
            own_postgres.stop("immediate")
            with pytest.raises(DependencyUnavailableException):
                await add_in_transaction(work)
            await add_in_transaction(work)

    async with prepared(own_postgres.url()) as work:
        with pytest.raises(DependencyUnavailableException):
            await try_twice(work)


@postgres
@pytest.mark.asyncio
async def test_a_connection_cut_by_an_administrator_before_commit(postgres_url: str) -> None:
    async def cut(work: SqlUnitOfWork, administrator: SqlUnitOfWork) -> None:
        async with work.begin():
            await add(work, 1)
            backend = await work.session.scalar(text("SELECT pg_backend_pid()"))
            async with administrator.reading() as session:
                await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})

    async with prepared(postgres_url) as work, work_on(postgres_url) as administrator:
        with pytest.raises(DependencyUnavailableException):
            await cut(work, administrator)

        assert await values(work) == [0, 0]


@postgres
@pytest.mark.asyncio
async def test_a_deadlock_is_worth_a_retry(postgres_url: str) -> None:
    barrier = asyncio.Barrier(2)

    async def cross(work: SqlUnitOfWork, first: int, second: int) -> None:
        async with work.begin():
            await add(work, first)
            await barrier.wait()
            await add(work, second)

    async with prepared(postgres_url) as work:
        outcomes = await asyncio.gather(cross(work, 1, 2), cross(work, 2, 1), return_exceptions=True)

        failed = [outcome for outcome in outcomes if outcome is not None]
        assert [type(error) for error in failed] == [PossiblyUnavailableException]
        assert "deadlock detected" in str(failed[0])
        assert await values(work) == [1, 1]


@postgres
@pytest.mark.asyncio
async def test_a_serialization_failure_is_worth_a_retry(postgres_url: str) -> None:
    async with prepared(postgres_url) as work:

        async def overtaken() -> None:
            async with work.begin():
                await work.session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await work.session.scalar(select(COUNTERS.c.value).where(COUNTERS.c.id == 1))
                await asyncio.create_task(add_in_transaction(work), context=Context())
                await add(work, 1)

        with pytest.raises(BrokenOffException, match="could not serialize access"):
            await overtaken()

        assert await values(work) == [1, 0]


@postgres
@pytest.mark.asyncio
async def test_a_statement_that_takes_too_long(postgres_url: str) -> None:
    async def sleep(work: SqlUnitOfWork) -> None:
        async with work.begin():
            await add(work, 1)
            await work.session.execute(text("SELECT pg_sleep(60)"))

    async def go_on(work: SqlUnitOfWork) -> None:
        while True:
            async with work.begin():
                await add(work, 2)

    async with prepared(postgres_url, EngineOptions(statement_timeout=0.2)) as work:
        with pytest.raises(PossiblyUnavailableException, match="TimeoutError"):
            await sleep(work)
        async with asyncio.TaskGroup() as beside:
            others = beside.create_task(go_on(work))
            with pytest.raises(BrokenOffException, match=r"serves others: .*TimeoutError") as caught:
                await sleep(work)
            others.cancel()
        assert is_retryable(caught.value)
        with pytest.raises(PossiblyUnavailableException, match="TimeoutError"):
            await sleep(work)

    async with work_on(postgres_url) as work:
        assert (await values(work))[0] == 0


@postgres
@pytest.mark.asyncio
async def test_a_server_that_became_a_standby(postgres_url: str) -> None:
    async def write(work: SqlUnitOfWork) -> None:
        async with work.begin():
            await work.session.execute(text("SET TRANSACTION READ ONLY"))
            await add(work, 1)

    async with prepared(postgres_url) as work:
        with pytest.raises(DependencyUnavailableException, match="read-only transaction"):
            await write(work)


@postgres
@pytest.mark.asyncio
async def test_a_table_changed_under_a_prepared_statement_is_worth_a_retry(postgres_url: str) -> None:
    """A migration while the service runs: the plans that connections keep are outdated once."""

    async def read_all(work: SqlUnitOfWork) -> int:
        async with work.begin():
            return len((await work.session.execute(text("SELECT * FROM counters"))).all())

    async with prepared(postgres_url, EngineOptions(pool_size=1, max_overflow=0)) as work:
        assert await read_all(work) == 2
        async with work_on(postgres_url) as administrator, administrator.begin():
            await administrator.session.execute(text("ALTER TABLE counters ADD COLUMN note TEXT"))

        with pytest.raises(DependencyUnavailableException, match="cached statement plan"):
            await read_all(work)
        assert await read_all(work) == 2


@postgres
@pytest.mark.asyncio
async def test_a_pool_that_is_used_up(postgres_url: str) -> None:
    options = EngineOptions(pool_size=1, max_overflow=0, pool_timeout=0.1)

    async with prepared(postgres_url, options) as work, work.begin():
        with pytest.raises(DependencyUnavailableException, match="QueuePool limit"):
            await asyncio.create_task(begin(work), context=Context())


@postgres
@pytest.mark.asyncio
async def test_a_network_that_swallows_everything(postgres_url: str) -> None:
    """No answer, no refusal: every wait has its limit, that of the way out of the transaction too."""
    limits = EngineOptions(connect_timeout=0.5, statement_timeout=0.5)

    async def vanish(work: SqlUnitOfWork, wire: "Wire") -> None:
        async with work.begin():
            await add(work, 1)
            wire.cut()
            await add(work, 2)

    async with Wire(postgres_url) as wire, prepared(postgres_url), work_on(wire.url, limits) as work:
        with pytest.raises(DependencyUnavailableException, match="TimeoutError"):
            await vanish(work, wire)
        with pytest.raises(DependencyUnavailableException, match="TimeoutError"):
            await begin(work)
        wire.mend()

        async with work_on(postgres_url) as direct:
            assert await values(direct) == [0, 0]


class Wire:
    """Stand between a client and PostgreSQL, and swallow what they say while cut."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._whole = asyncio.Event()
        self._whole.set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._sockets: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        return self

    async def __aexit__(self, *exit_info: object) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for socket in self._sockets:
            socket.transport.abort()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port or 5432)
        self._sockets += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._pumps.add(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
