"""Databases to run a contract on: a SQLite file, and a real PostgreSQL with a database of its own for each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.testing.postgres_server import PostgresServer, find_postgres


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    if find_postgres() is None:
        pytest.skip("no PostgreSQL")
    with PostgresServer() as server:
        yield server.url()


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(postgres_server_url, f"CREATE DATABASE {name}"))
    yield make_url(postgres_server_url).set(database=name).render_as_string(hide_password=False)
    asyncio.run(_execute(postgres_server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/orders.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, EngineOptions(busy_timeout=0.2))
    yield engine
    await engine.dispose()


async def _execute(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
