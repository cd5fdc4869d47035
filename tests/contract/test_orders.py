"""What handlers may expect of `Orders`, held by the fake, by SQLite and by PostgreSQL alike.

The one honest difference: the fake has no transactions, so the cases about those run on databases only.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.command.unit_of_work import NoUnitOfWork, UnitOfWork
from cqrs.exceptions import is_retryable
from cqrs.sql.engine import create_engine
from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork
from service.adapters.sql_orders import SqlOrders, metadata
from service.application.orders import InMemoryOrders, OrderChangedException, Orders
from service.domain.errors import OrderExistsException, OrderNotFoundException
from service.domain.item import OrderItem
from service.domain.order import Order
from service.domain.rules import MAX_QUANTITY, MAX_UNIT_PRICE

NOON = datetime(2025, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
ITEM = OrderItem("A", 2, Decimal("9.99"))


def order(order_id: str = "o-1", customer_id: str = "c-1", *items: OrderItem, at: datetime = NOON) -> Order:
    return Order.create(order_id, customer_id, items or (ITEM,), "EUR", at)[0]


class Shop:
    """Bring one implementation and the unit of work it writes in."""

    def __init__(self, orders: Orders, work: UnitOfWork) -> None:
        self.orders = orders
        self._work = work

    @asynccontextmanager
    async def command(self) -> AsyncIterator[Orders]:
        async with self._work.begin():
            yield self.orders

    async def add(self, *orders: Order) -> None:
        for each in orders:
            async with self.command() as shelf:
                await shelf.add(each)

    async def replace(self, before: Order, after: Order) -> None:
        async with self.command() as shelf:
            await shelf.replace(before, after)


def sql_shop(engine: AsyncEngine) -> Shop:
    work = SqlUnitOfWork(engine)
    return Shop(SqlOrders(work), work)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kept_in(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return None if request.param == "memory" else f"sqlite+aiosqlite:///{tmp_path}/orders.db"


@pytest_asyncio.fixture
async def shop(kept_in: str | None) -> AsyncIterator[Shop]:
    if kept_in is None:
        yield Shop(InMemoryOrders(), NoUnitOfWork())
        return
    engine = create_engine(kept_in)
    await create_tables(engine, metadata)
    yield sql_shop(engine)
    await engine.dispose()


@pytest_asyncio.fixture
async def database(engine: AsyncEngine) -> Shop:
    await create_tables(engine, metadata)
    return sql_shop(engine)


@pytest.mark.asyncio
async def test_an_order_comes_back_as_it_was_added(shop: Shop) -> None:
    placed = order(
        "Ä 1", "订单", OrderItem("B", 1, Decimal("0.10")), OrderItem("A", MAX_QUANTITY, Decimal("0.00")), ITEM, ITEM
    )
    await shop.add(placed)

    assert await shop.orders.get("Ä 1") == placed
    assert await shop.orders.find("Ä 1") == placed


@pytest.mark.asyncio
@pytest.mark.parametrize("price", ["0.01", "0.07", "1234567890.12", str(MAX_UNIT_PRICE)])
async def test_money_is_exact(shop: Shop, price: str) -> None:
    await shop.add(order("o-1", "c-1", OrderItem("A", 1, Decimal(price))))

    kept = await shop.orders.get("o-1")

    assert str(kept.items[0].unit_price) == str(kept.total) == price


@pytest.mark.asyncio
async def test_times_come_back_in_utc(shop: Shop) -> None:
    await shop.add(order())

    kept = await shop.orders.get("o-1")

    assert kept.created_at.isoformat() == "2025-03-01T12:00:00.123000+00:00"


@pytest.mark.asyncio
async def test_an_unknown_order_is_not_found(shop: Shop) -> None:
    assert await shop.orders.find("o-1") is None
    with pytest.raises(OrderNotFoundException, match="no order o-1"):
        await shop.orders.get("o-1")


@pytest.mark.asyncio
async def test_a_second_order_with_the_same_id_is_refused(shop: Shop) -> None:
    await shop.add(order())

    with pytest.raises(OrderExistsException, match="o-1 exists already"):
        await shop.add(order("o-1", "c-2"))

    assert await shop.orders.get("o-1") == order()


@pytest.mark.asyncio
async def test_a_refused_one_leaves_the_command_free_to_go_on(shop: Shop) -> None:
    await shop.add(order())

    async with shop.command() as orders:
        with pytest.raises(OrderExistsException):
            await orders.add(order())
        await orders.add(order("o-2"))

    assert await shop.orders.get("o-2") == order("o-2")


@pytest.mark.asyncio
async def test_changes_are_kept(shop: Shop) -> None:
    placed = order()
    added, _ = placed.add(OrderItem("B", 1, Decimal("0.10")), NOON)
    cancelled, _ = added.cancel("c-1", "two\nlines", NOON + timedelta(seconds=1))
    await shop.add(placed)
    await shop.replace(placed, added)
    assert await shop.orders.get("o-1") == added

    await shop.replace(added, cancelled)
    assert await shop.orders.get("o-1") == cancelled


@pytest.mark.asyncio
async def test_a_change_to_what_changed_meanwhile_is_refused_and_worth_a_retry(shop: Shop) -> None:
    placed = order()
    await shop.add(placed)
    first, _ = placed.add(ITEM, NOON)
    second, _ = placed.cancel("c-1", "", NOON)
    await shop.replace(placed, first)

    with pytest.raises(OrderChangedException, match="o-1 was changed by another command") as caught:
        await shop.replace(placed, second)

    assert is_retryable(caught.value)
    assert await shop.orders.get("o-1") == first


@pytest.mark.asyncio
async def test_a_change_to_an_unknown_order_is_refused(shop: Shop) -> None:
    with pytest.raises(OrderChangedException):
        await shop.replace(order(), order().add(ITEM, NOON)[0])


@pytest.mark.asyncio
async def test_a_customers_orders_come_newest_first_and_limited(shop: Shop) -> None:
    later, latest = NOON + timedelta(seconds=1), NOON + timedelta(days=1)
    twice = order("o-4", "c-1", ITEM, OrderItem("B", 1, Decimal(1)), at=later)
    await shop.add(order("o-1", at=later), order("o-2"), order("o-3", at=latest), twice, order("x", "c-2"))

    assert await shop.orders.of_customer("c-1", 10) == [
        order("o-3", at=latest),
        order("o-1", at=later),
        twice,
        order("o-2"),
    ]
    assert [each.order_id for each in await shop.orders.of_customer("c-1", 2)] == ["o-3", "o-1"]
    assert await shop.orders.of_customer("nobody", 10) == []


@pytest.mark.asyncio
async def test_a_command_reads_what_it_wrote(shop: Shop) -> None:
    async with shop.command() as orders:
        await orders.add(order())
        changed, _ = (await orders.get("o-1")).add(ITEM, NOON)
        await orders.replace(order(), changed)
        assert await orders.of_customer("c-1", 1) == [changed]


@pytest.mark.asyncio
async def test_what_a_failing_command_wrote_is_gone(database: Shop) -> None:
    async def fail() -> None:
        async with database.command() as orders:
            await orders.add(order())
            raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert await database.orders.find("o-1") is None


@pytest.mark.asyncio
async def test_of_two_commands_at_once_with_one_id_one_wins(database: Shop) -> None:
    outcomes = await asyncio.gather(*(database.add(order("o-1", f"c-{n}")) for n in range(6)), return_exceptions=True)

    assert sorted(map(type, outcomes), key=repr) == [type(None), *[OrderExistsException] * 5]


@pytest.mark.asyncio
async def test_of_changes_at_once_none_is_lost(database: Shop) -> None:
    """Each is run again until it is kept, as a subscriber does with what is worth a retry."""
    await database.add(order())

    async def add(sku: str) -> None:
        try:
            async with database.command() as orders:
                before = await orders.get("o-1")
                await orders.replace(before, before.add(OrderItem(sku, 1, Decimal(1)), NOON)[0])
        except OrderChangedException:
            await add(sku)

    await asyncio.gather(*(add(f"S{n}") for n in range(10)))

    kept = await database.orders.get("o-1")
    assert kept.version == 11
    assert {item.sku for item in kept.items} == {"A", *(f"S{n}" for n in range(10))}


@pytest.mark.asyncio
async def test_the_tables_refuse_an_item_without_order(engine: AsyncEngine, database: Shop) -> None:
    item = "INSERT INTO order_items (order_id, position, sku, quantity, unit_price_cents) VALUES ('o-9', 0, 'A', 1, 1)"

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        async with engine.begin() as connection:
            await connection.execute(text(item))
