"""What the order service's database keeps, read from outside."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import asyncpg

from cqrs.sql.migrating import migrate
from service.adapters.schema import MIGRATIONS
from tests.chaos.orders.model import Line, Order

_ORDERS = "SELECT order_id, customer_id, version, cancel_reason, cancelled_at FROM orders"
_ITEMS = "SELECT order_id, sku, quantity, unit_price_cents FROM order_items ORDER BY order_id, position"

Row = Sequence[object]


def in_sqlite(file: Path) -> Mapping[str, Order]:
    """Return every order of a SQLite file, by its id."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return _orders(database.execute(_ORDERS), database.execute(_ITEMS))


def in_postgres(server: str, name: str) -> Mapping[str, Order]:
    """Return every order of a database of a PostgreSQL server, by its id."""

    async def ask() -> Mapping[str, Order]:
        connection = await asyncpg.connect(_dsn(url_of(server, name)))
        try:
            return _orders(await connection.fetch(_ORDERS), await connection.fetch(_ITEMS))
        finally:
            await connection.close()

    return asyncio.run(ask())


def create_postgres(server: str, name: str) -> None:
    """Create a database with empty tables, as `python -m service migrate up` does."""

    async def create() -> None:
        connection = await asyncpg.connect(_dsn(server))
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        await migrate(url_of(server, name), MIGRATIONS)

    asyncio.run(create())


def url_of(server: str, name: str) -> str:
    """Return the SQLAlchemy URL of a database of a server."""
    return f"{server.rpartition('/')[0]}/{name}"


def _dsn(url: str) -> str:
    return url.replace("postgresql+asyncpg", "postgresql")


def _orders(orders: Iterable[Row], items: Iterable[Row]) -> Mapping[str, Order]:
    lines: defaultdict[str, list[Line]] = defaultdict(list)
    for order_id, sku, quantity, cents in items:
        lines[str(order_id)].append(Line(str(sku), int(str(quantity)), Decimal(int(str(cents))).scaleb(-2)))
    return {
        str(order_id): Order(
            str(customer),
            tuple(lines[str(order_id)]),
            int(str(version)),
            None if cancelled_at is None else str(reason),
        )
        for order_id, customer, version, reason, cancelled_at in orders
    }
