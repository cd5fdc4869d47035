"""A database gets from whatever it is to what this release needs, all or nothing, however many try so at once."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, Text, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.sql.engine import create_engine
from cqrs.sql.migrating import MigrationFailedException, migrate
from cqrs.sql.migrations import Migrations, differences, require_schema, schema_status, written_out
from cqrs.sql.schema import LOCK_KEY
from cqrs.testing.postgres_server import PostgresServer
from service.adapters.schema import MIGRATIONS

MakeMigrations = Callable[..., Migrations]

BEFORE_MIGRATIONS = {
    "sqlite": """
CREATE TABLE orders (
    order_id TEXT NOT NULL, customer_id TEXT NOT NULL, currency TEXT NOT NULL, version INTEGER NOT NULL,
    created_at DATETIME NOT NULL, cancelled_at DATETIME, cancel_reason TEXT, PRIMARY KEY (order_id));
CREATE INDEX orders_of_customer ON orders (customer_id, created_at DESC, order_id);
CREATE TABLE order_items (
    order_id TEXT NOT NULL, position INTEGER NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    unit_price_cents BIGINT NOT NULL, PRIMARY KEY (order_id, position),
    CONSTRAINT order_items_quantity CHECK (quantity > 0),
    CONSTRAINT order_items_unit_price CHECK (unit_price_cents >= 0),
    FOREIGN KEY(order_id) REFERENCES orders (order_id) ON DELETE CASCADE);
""",
    "postgresql": """
CREATE TABLE orders (
    order_id TEXT NOT NULL, customer_id TEXT NOT NULL, currency TEXT NOT NULL, version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL, cancelled_at TIMESTAMP WITH TIME ZONE, cancel_reason TEXT,
    PRIMARY KEY (order_id));
CREATE INDEX orders_of_customer ON orders (customer_id, created_at DESC, order_id);
CREATE TABLE order_items (
    order_id TEXT NOT NULL, position INTEGER NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
    unit_price_cents BIGINT NOT NULL, PRIMARY KEY (order_id, position),
    CONSTRAINT order_items_quantity CHECK (quantity > 0),
    CONSTRAINT order_items_unit_price CHECK (unit_price_cents >= 0),
    FOREIGN KEY(order_id) REFERENCES orders (order_id) ON DELETE CASCADE);
""",
}
"""What the last release without migrations made at its start."""

ROWS = """
INSERT INTO orders VALUES ('o-1', 'c-1', 'EUR', 1, '2026-01-01 00:00:00', NULL, NULL);
INSERT INTO order_items VALUES ('o-1', 0, 'A', 2, 999);
"""
STEP = '"""Step {number}."""\nimport sqlalchemy as sa\nfrom alembic import op\n'
HEAD = "revision = {number!r}\ndown_revision = {before!r}\ndef upgrade() -> None:\n"


@pytest.fixture
def migrations_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeMigrations:
    """Return a maker of migrations: the tables, then what each step does."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(tables: MetaData, *bodies: str) -> Migrations:
        package = f"steps_{uuid4().hex}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").touch()
        for index, body in enumerate(bodies, 1):
            before = f"{index - 1:04}" if index > 1 else None
            number = f"{index:04}"
            source = STEP.format(number=number) + HEAD.format(number=number, before=before) + f"    {body}\n"
            (folder / f"{number}_step.py").write_text(source, "utf-8")
        return Migrations(tables, package, program="shop")

    return make


async def run_script(url: str, script: str) -> None:
    """Run SQL as an administrator does, with the driver alone."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with sqlite3.connect(str(parsed.database)) as connection:
            connection.executescript(script)
        connection.close()
        return
    connection = await asyncpg.connect(
        host=parsed.host, port=parsed.port, user=parsed.username, database=parsed.database
    )
    await connection.execute(script)
    await connection.close()


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda each: inspect(each).get_table_names()))


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608


async def require_no_drift(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(differences, MIGRATIONS) == []


def two_tables(*, more: str | None = None) -> MetaData:
    metadata = MetaData()
    columns = [Column("id", Text, primary_key=True)] + ([Column(more, Text)] if more else [])
    Table("parents", metadata, *columns)
    Table(
        "children",
        metadata,
        Column("id", Text, primary_key=True),
        Column("parent", Text, ForeignKey("parents.id", ondelete="CASCADE")),
    )
    return metadata


PARENTS = "op.create_table('parents', sa.Column('id', sa.Text(), primary_key=True))"
CHILDREN = (
    "op.create_table('children', sa.Column('id', sa.Text(), primary_key=True), "
    "sa.Column('parent', sa.Text(), sa.ForeignKey('parents.id', ondelete='CASCADE')))"
)
FAILS = "; op.execute('SELECT * FROM nowhere')"


@pytest.mark.asyncio
async def test_an_empty_database_becomes_what_the_code_uses(database_url: str, engine: AsyncEngine) -> None:
    assert "has no tables of this service yet. To bring it to 0001: python -m service migrate up" in str(
        (await schema_status(engine, MIGRATIONS)).problem
    )

    assert await migrate(database_url, MIGRATIONS) == ["0001"]
    assert await migrate(database_url, MIGRATIONS) == []

    assert (await schema_status(engine, MIGRATIONS)).problem is None
    await require_no_drift(engine)


@pytest.mark.asyncio
async def test_a_database_of_the_last_release_without_migrations_keeps_its_rows(
    database_url: str, engine: AsyncEngine
) -> None:
    await run_script(database_url, BEFORE_MIGRATIONS[engine.dialect.name] + ROWS)
    assert "of a release before migrations" in str((await schema_status(engine, MIGRATIONS)).problem)

    await migrate(database_url, MIGRATIONS)

    assert (await count(engine, "orders"), await count(engine, "order_items")) == (1, 1)
    await require_no_drift(engine)


@pytest.mark.asyncio
async def test_processes_that_start_at_once_migrate_it_once(database_url: str, engine: AsyncEngine) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url, "LOG_FORMAT": "console"}
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "service", "migrate", "up"]
    started = [
        await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe) for _ in range(3)
    ]
    said = await asyncio.gather(*(each.communicate() for each in started))

    assert [each.returncode for each in started] == [0, 0, 0], said
    assert sum(b"as it was before" not in out for out, _ in said) == 1
    await require_no_drift(engine)


@pytest.mark.asyncio
async def test_a_step_that_fails_in_the_middle_leaves_nothing_behind(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    steps = migrations_of(two_tables(), PARENTS, CHILDREN + FAILS)

    with pytest.raises(MigrationFailedException, match=r"step 0002 \(Step 0002\) was refused, and nothing was changed"):
        await migrate(database_url, steps)

    assert await tables_of(engine) == set()
    assert (await schema_status(engine, steps)).found is None


@pytest.mark.asyncio
async def test_a_failure_leaves_what_earlier_runs_reached(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    await migrate(database_url, migrations_of(MetaData(), PARENTS))

    with pytest.raises(MigrationFailedException, match="step 0002"):
        await migrate(database_url, migrations_of(MetaData(), PARENTS, "pass" + FAILS))

    status = await schema_status(engine, migrations_of(MetaData(), PARENTS, CHILDREN))
    assert (status.found, status.pending) == ("0001", ("0002",))
    assert "is at version 0001, and this release needs 0002. To bring it to 0002: python -m shop migrate up" in str(
        status.problem
    )


@pytest.mark.asyncio
async def test_a_table_that_is_made_anew_keeps_the_rows_that_refer_to_it(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    await migrate(database_url, migrations_of(two_tables(), PARENTS, CHILDREN))
    await run_script(database_url, "INSERT INTO parents VALUES ('p'); INSERT INTO children VALUES ('c', 'p');")
    anew = (
        "with op.batch_alter_table('parents', recreate='auto') as parents: "
        "parents.add_column(sa.Column('name', sa.Text())); parents.alter_column('id', type_=sa.String(40))"
    )

    await migrate(database_url, migrations_of(two_tables(more="name"), PARENTS, CHILDREN, anew))

    assert (await count(engine, "parents"), await count(engine, "children")) == (1, 1)


@pytest.mark.asyncio
async def test_a_step_that_tears_rows_apart_is_rolled_back_on_sqlite_too(
    tmp_path: Path, migrations_of: MakeMigrations
) -> None:
    file = tmp_path / "orders.db"
    url = f"sqlite+aiosqlite:///{file}"
    await migrate(url, migrations_of(two_tables(), PARENTS, CHILDREN))
    await run_script(url, "INSERT INTO parents VALUES ('p'); INSERT INTO children VALUES ('c', 'p');")

    with pytest.raises(ConfigurationException, match="a row of children refers to a row of parents that is not there"):
        await migrate(url, migrations_of(two_tables(), PARENTS, CHILDREN, "op.execute('DELETE FROM parents')"))

    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM parents").fetchone() == (1,)
    connection.close()


@pytest.mark.asyncio
async def test_tables_of_somebody_else_are_not_taken_for_ours(database_url: str, engine: AsyncEngine) -> None:
    await run_script(
        database_url, "CREATE TABLE orders (number INTEGER PRIMARY KEY, customer_id TEXT, created_at TEXT);"
    )

    with pytest.raises((ConfigurationException, MigrationFailedException)):
        await migrate(database_url, MIGRATIONS)

    assert await tables_of(engine) == {"orders"}


@pytest.mark.asyncio
async def test_a_column_that_no_step_adds_is_found_before_it_is_kept(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    with pytest.raises(ConfigurationException, match=r"parents\.name would be missing"):
        await migrate(database_url, migrations_of(two_tables(more="name"), PARENTS, CHILDREN))

    assert await tables_of(engine) == set()


@pytest.mark.asyncio
async def test_a_database_of_a_later_release_is_left_alone(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    earlier, later = (
        migrations_of(two_tables(), PARENTS, CHILDREN),
        migrations_of(two_tables(), PARENTS, CHILDREN, "pass"),
    )
    await migrate(database_url, later)

    with pytest.raises(ConfigurationException, match=r"at version 0003, which this release \(at 0002\) does not know"):
        await migrate(database_url, earlier)
    with pytest.raises(ConfigurationException, match="DATABASE_SCHEMA=allow_newer"):
        await require_schema(engine, earlier, allow_newer=False)

    await require_schema(engine, earlier, allow_newer=True)
    assert (await schema_status(engine, later)).problem is None


@pytest.mark.asyncio
async def test_allow_newer_allows_nothing_older(
    database_url: str, engine: AsyncEngine, migrations_of: MakeMigrations
) -> None:
    await migrate(database_url, migrations_of(MetaData(), PARENTS))

    with pytest.raises(ConfigurationException, match="migrate up"):
        await require_schema(engine, migrations_of(two_tables(), PARENTS, CHILDREN), allow_newer=True)


@pytest.mark.asyncio
async def test_the_steps_written_out_do_the_same(database_url: str, engine: AsyncEngine) -> None:
    await run_script(database_url, written_out(MIGRATIONS, engine.dialect.name))

    assert (await schema_status(engine, MIGRATIONS)).problem is None
    await require_no_drift(engine)


def test_written_out_they_begin_behind_a_version(migrations_of: MakeMigrations) -> None:
    steps = migrations_of(two_tables(), PARENTS, CHILDREN)

    script = written_out(steps, "postgresql", after="0001")

    assert "CREATE TABLE children" in script
    assert "CREATE TABLE parents" not in script
    assert "UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001'" in script
    with pytest.raises(ConfigurationException, match="no version 0009; there are 0001, 0002"):
        written_out(steps, "postgresql", after="0009")


def test_two_last_steps_are_told(migrations_of: MakeMigrations) -> None:
    steps = migrations_of(two_tables(), PARENTS, CHILDREN)
    other = (steps.folder / "0002_step.py").read_text("utf-8").replace("revision = '0002'", "revision = '0002b'")
    (steps.folder / "0002b_step.py").write_text(other, "utf-8")

    with pytest.raises(ConfigurationException, match="0002 and 0002b; set down_revision"):
        steps.steps()


@pytest.mark.postgres
@pytest.mark.asyncio
async def test_a_server_that_is_not_there_yet_is_waited_for(own_postgres: PostgresServer) -> None:
    own_postgres.stop("fast")
    with pytest.raises(DependencyUnavailableException):
        await migrate(own_postgres.url(), MIGRATIONS, wait_seconds=0.1)

    waiting = asyncio.create_task(migrate(own_postgres.url(), MIGRATIONS, wait_seconds=60))
    await asyncio.sleep(0)
    await asyncio.to_thread(own_postgres.start)

    assert await waiting == ["0001"]


@pytest.mark.postgres
@pytest.mark.asyncio
async def test_whoever_is_kept_out_too_long_says_so(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    async with aclosing(await engine.connect()) as other:
        await other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})

        with pytest.raises(DependencyUnavailableException, match="another process is still migrating it"):
            await migrate(postgres_url, MIGRATIONS, wait_seconds=0.5)
    await engine.dispose()


@pytest.mark.asyncio
async def test_whoever_is_kept_out_of_sqlite_too_long_says_so(tmp_path: Path) -> None:
    file = tmp_path / "orders.db"
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(DependencyUnavailableException, match="locked"):
            await migrate(f"sqlite+aiosqlite:///{file}", MIGRATIONS, wait_seconds=0.2)
    other.close()


@pytest.mark.asyncio
async def test_runs_in_one_process_do_not_meet(database_url: str) -> None:
    runs = await asyncio.gather(*(migrate(database_url, MIGRATIONS) for _ in range(4)))

    assert sorted(map(list, runs)) == [[], [], [], ["0001"]]
