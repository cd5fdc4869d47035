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

HOW_TO_RUN = (
    "To run them: install PostgreSQL's server (Debian: apt-get install -y postgresql), or set TEST_POSTGRES_URL to "
    "postgresql+asyncpg://user:password@host:5432/name of a user who may create databases; then: pytest tests/contract"
)


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """A server that is given by TEST_POSTGRES_URL, or that the session starts; never the one of DATABASE_URL."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    require_binaries()
    with PostgresServer() as server:
        yield server.url()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that the test may stop, crash and start."""
    require_binaries()
    with PostgresServer() as server:
        yield server


def require_binaries() -> None:
    if find_postgres() is None:
        pytest.skip(f"PostgreSQL's server is not installed. {HOW_TO_RUN}")


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """An empty database of the test's own."""
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
