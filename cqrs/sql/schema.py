"""Create the tables a service declares, when it starts."""

from contextlib import aclosing

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.sql.failures import connecting, place_of

Tables = MetaData
"""What a service declares its tables in, for those who pass it on without knowing SQLAlchemy."""

# Any constant does, as long as every replica takes the same: the ASCII of "cqrs.sql".
_LOCK_KEY = int.from_bytes(b"cqrs.sql", "big")


async def create_tables(engine: AsyncEngine, metadata: Tables) -> None:
    """Create what is missing of `metadata`; tables that exist are left as they are.

    Several processes may call it at once: PostgreSQL serialises them by an advisory lock that ends with the
    transaction, SQLite by its write lock.

    Raises:
        DependencyUnavailableException: the database cannot be reached.
    """
    with connecting(place_of(engine.url)):
        connection = await engine.connect()
    async with aclosing(connection), connection.begin():
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        await connection.run_sync(metadata.create_all)
