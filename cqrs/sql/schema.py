"""What a service declares its tables in; and how tests make them without any migration."""

from contextlib import aclosing

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.sql.failures import connecting, place_of

Tables = MetaData
"""What a service declares its tables in, for those who pass it on without knowing SQLAlchemy."""

LOCK_KEY = int.from_bytes(b"cqrs.sql", "big")
"""The key of PostgreSQL's advisory lock: any constant does, as long as every replica takes the same."""


async def create_tables(engine: AsyncEngine, metadata: Tables) -> None:
    """Create what is missing of `metadata`, for tests; tables that exist are left as they are.

    A service has migrations instead: these tell old tables from new ones.

    Several processes may call it at once: PostgreSQL serialises them by an advisory lock that ends with the
    transaction, SQLite by its write lock.

    Raises:
        DependencyUnavailableException: the database cannot be reached.
    """
    with connecting(place_of(engine.url)):
        connection = await engine.connect()
    async with aclosing(connection), connection.begin():
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        await connection.run_sync(metadata.create_all)
