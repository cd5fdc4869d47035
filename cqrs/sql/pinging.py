"""Ask a connection whether it still stands before it is used again, when it has rested for a while.

SQLAlchemy's `pool_pre_ping` asks before every use, with asyncpg by a transaction of its own: three of the eight round
trips of a small command. A connection that was used a moment ago answers for itself. If the database went away just
then, the first statement says so: the command is tried again, and the pool replaces its connections all the same.
"""

import time

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

REST_SECONDS = 1.0
"""How long a connection may have rested to be used without being asked."""

_RESTS_SINCE = "cqrs_rests_since"


def ping_after_rest(engine: AsyncEngine) -> None:
    """Have every connection of `engine` asked that has rested; when it is lost, others take its place unnoticed."""
    dialect = engine.dialect

    def rest(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_RESTS_SINCE] = time.monotonic()

    def ask(connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        since = entry.info.pop(_RESTS_SINCE, None)
        if since is None or time.monotonic() - since < REST_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, connection, None):
                raise InvalidatePoolError from error
            raise

    event.listen(engine.sync_engine, "checkin", rest)
    event.listen(engine.sync_engine, "checkout", ask)
