"""An engine is made for two databases only, keeps its password to itself, and tunes SQLite."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from cqrs.exceptions import ConfigurationException
from cqrs.sql.engine import EngineOptions, create_engine, is_tuned, parse_url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgresql://u:hush@db:5433/orders", "write postgresql+asyncpg://u:***@db:5433/orders"),
        ("postgres://u:hush@db/orders", "write postgresql+asyncpg://u:***@db/orders"),
        ("postgresql+psycopg2://u:hush@db/orders?password=hush", "write postgresql+asyncpg://u:***@db/orders"),
        ("sqlite:///orders.db", "write sqlite+aiosqlite:///orders.db"),
        ("mysql+aiomysql://u:hush@db/orders", "not supported; write postgresql+asyncpg://"),
        ("oracle://u:hush@db", "or sqlite+aiosqlite:///file.db"),
        ("u:hush@db", "write postgresql+asyncpg://user:password@host:5432/name"),
        ("", "is not a URL"),
        ("postgresql+asyncpg://u:hush@db:port/orders", "is not a URL"),
        ("sqlite+aiosqlite://orders.db", "write sqlite+aiosqlite:///orders.db"),
        ("sqlite+aiosqlite://", "keeps SQLite in memory"),
        ("sqlite+aiosqlite:///:memory:", "write sqlite+aiosqlite:///file.db"),
        ("sqlite+aiosqlite:///file:x?mode=memory&uri=true", "keeps SQLite in memory"),
        (
            "postgresql+asyncpg://u:hush@db/orders?sslmode=require",
            "'sslmode', which asyncpg does not know; did you mean ssl",
        ),
        ("postgresql+asyncpg://u:hush@db/orders?comand_timeout=3", "did you mean command_timeout?"),
        ("postgresql+asyncpg://u:hush@db/orders?zzzzzz=3", "asyncpg.connect lists what there is"),
        ("postgresql+asyncpg://u:hush@db/orders?timeout=soon", "timeout=soon; write seconds, as timeout=5"),
        ("postgresql+asyncpg://u:hush@db/orders?timeout=0", "timeout=0; write seconds"),
    ],
)
def test_a_url_that_cannot_be_served_says_what_to_write(url: str, advice: str) -> None:
    with pytest.raises(ConfigurationException) as caught:
        create_engine(url)

    assert advice in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_problem_of_a_url_is_shown() -> None:
    with pytest.raises(ConfigurationException) as caught:
        parse_url("postgresql+asyncpg://db/orders?sslmode=require&dbname=x&command_timeout=-1")

    assert len(caught.value.problems) == 3


def test_postgresql_is_made_with_pools_and_limits() -> None:
    engine = create_engine("postgresql+asyncpg://u:hush@db/orders", EngineOptions(pool_size=3))

    assert engine.pool.status().startswith("Pool size: 3")
    assert "hush" not in repr(engine)
    assert is_tuned(engine)


def test_an_engine_made_elsewhere_is_told_apart() -> None:
    assert not is_tuned(create_async_engine("postgresql+asyncpg://db/orders"))


@pytest.mark.asyncio
async def test_sqlite_is_durable_concurrent_and_checks_foreign_keys(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path}/new/folder/orders.db", EngineOptions(busy_timeout=1.5))
    async with engine.connect() as connection:
        settings = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        ]
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        assert driver.isolation_level is None  # the driver begins nothing by itself
    await engine.dispose()

    assert isinstance(engine.pool, AsyncAdaptedQueuePool)
    assert settings == ["wal", 2, 1, 1500, 0]


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationException, match=r"cannot make the folder.*orders\.db.*STATE_PATH"):
        create_engine(f"sqlite+aiosqlite:///{tmp_path}/file/orders.db")
