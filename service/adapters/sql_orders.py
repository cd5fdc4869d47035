"""Orders in two SQL tables."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from cqrs.container import service
from cqrs.sql.columns import UtcDateTime
from cqrs.sql.unit_of_work import SqlUnitOfWork
from service.application.orders import OrderChangedException, Orders
from service.domain.errors import OrderExistsException, OrderNotFoundException
from service.domain.item import OrderItem
from service.domain.order import Order

metadata = MetaData()
"""The tables of the order service; `service/adapters/migrations` makes them."""

_orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("cancelled_at", UtcDateTime),
    Column("cancel_reason", Text),
)
Index("orders_of_customer", _orders.c.customer_id, _orders.c.created_at.desc(), _orders.c.order_id)

_items = Table(
    "order_items",
    metadata,
    Column("order_id", ForeignKey(_orders.c.order_id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    # Whole cents: SQLite has no decimal type, and a float is not money.
    Column("unit_price_cents", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="order_items_quantity"),
    CheckConstraint("unit_price_cents >= 0", name="order_items_unit_price"),
)

# One statement says whether the id is free, and leaves the transaction usable when it is not.
_INSERT_OR_IGNORE = {
    "postgresql": postgresql.insert(_orders).on_conflict_do_nothing().returning(_orders.c.order_id),
    "sqlite": sqlite.insert(_orders).on_conflict_do_nothing().returning(_orders.c.order_id),
}


@service(provides=Orders)
class SqlOrders:
    """Keep orders in the database of the unit of work that the command runs in."""

    def __init__(self, work: SqlUnitOfWork) -> None:
        self._work = work

    async def add(self, order: Order) -> None:
        """Insert an order and its items."""
        session = self._work.session
        insert = _INSERT_OR_IGNORE[session.get_bind().dialect.name]
        added = await session.scalar(insert, _order_values(order))
        if added is None:
            raise OrderExistsException(order.order_id)
        await session.execute(_items.insert(), _item_values(order, 0))

    async def get(self, order_id: str) -> Order:
        """Read an order and its items."""
        order = await self.find(order_id)
        if order is None:
            raise OrderNotFoundException(order_id)
        return order

    async def find(self, order_id: str) -> Order | None:
        """Read an order and its items, or answer None."""
        async with self._work.reading() as session:
            found = await session.execute(select(_orders).where(_orders.c.order_id == order_id))
            row = found.mappings().one_or_none()
            return None if row is None else _order(row, (await _items_of(session, [order_id]))[order_id])

    async def replace(self, before: Order, after: Order) -> None:
        """Update an order where it still has the version that was read, and insert the items added to it."""
        session = self._work.session
        unchanged = (_orders.c.order_id == before.order_id) & (_orders.c.version == before.version)
        change = update(_orders).where(unchanged).values(_order_values(after)).returning(_orders.c.order_id)
        if await session.scalar(change) is None:
            raise OrderChangedException(before.order_id, before.version)
        added = _item_values(after, len(before.items))
        if added:
            await session.execute(_items.insert(), added)

    async def of_customer(self, customer_id: str, limit: int) -> list[Order]:
        """Read a customer's newest orders with two statements, however many there are."""
        newest = (
            select(_orders)
            .where(_orders.c.customer_id == customer_id)
            .order_by(_orders.c.created_at.desc(), _orders.c.order_id)
            .limit(limit)
        )
        async with self._work.reading() as session:
            rows = (await session.execute(newest)).mappings().all()
            items = await _items_of(session, [row["order_id"] for row in rows])
        return [_order(row, items[row["order_id"]]) for row in rows]


def _order_values(order: Order) -> dict[str, object]:
    return {column.name: getattr(order, column.name) for column in _orders.columns}


def _item_values(order: Order, start: int) -> list[dict[str, object]]:
    return [
        {
            "order_id": order.order_id,
            "position": position,
            "sku": item.sku,
            "quantity": item.quantity,
            "unit_price_cents": int(item.unit_price * 100),
        }
        for position, item in enumerate(order.items[start:], start)
    ]


async def _items_of(session: AsyncSession, order_ids: Sequence[str]) -> Mapping[str, list[OrderItem]]:
    wanted = select(_items).where(_items.c.order_id.in_(order_ids)).order_by(_items.c.order_id, _items.c.position)
    found: dict[str, list[OrderItem]] = {order_id: [] for order_id in order_ids}
    for row in await session.execute(wanted):
        found[row.order_id].append(OrderItem(row.sku, row.quantity, Decimal(row.unit_price_cents).scaleb(-2)))
    return found


def _order(row: RowMapping, items: Iterable[OrderItem]) -> Order:
    return Order(items=tuple(items), **{column.name: row[column] for column in _orders.columns})
