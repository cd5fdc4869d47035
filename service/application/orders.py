"""The port to where orders are kept, and its fake for tests."""

from typing import Protocol

from service.domain.errors import OrderExistsException, OrderNotFoundException
from service.domain.order import Order


class OrderChangedException(Exception):
    """Report that somebody else changed the order meanwhile; the same command can succeed when run again."""

    retryable = True

    def __init__(self, order_id: str, version: int) -> None:
        super().__init__(f"Order {order_id} was changed by another command since its version {version} was read.")


class Orders(Protocol):
    """Keep orders."""

    async def add(self, order: Order) -> None:
        """Keep a new order.

        Raises:
            OrderExistsException: its id is taken.
        """
        ...

    async def get(self, order_id: str) -> Order:
        """Return an order as it stands.

        Raises:
            OrderNotFoundException: there is none with this id.
        """
        ...

    async def find(self, order_id: str) -> Order | None:
        """Return an order as it stands, or None."""
        ...

    async def replace(self, before: Order, after: Order) -> None:
        """Keep what an order became. Items are only ever added at the end.

        Raises:
            OrderChangedException: what is kept is no longer `before`.
        """
        ...

    async def of_customer(self, customer_id: str, limit: int) -> list[Order]:
        """Return a customer's orders, the newest first, `limit` at most."""
        ...


class InMemoryOrders:
    """Keep orders in a dict: a fake for tests of handlers.

    It answers as the real one does, but for one thing: it knows no transaction, so what a failing command wrote stays.
    """

    def __init__(self, *orders: Order) -> None:
        self._orders = {order.order_id: order for order in orders}

    async def add(self, order: Order) -> None:
        """Keep a new order."""
        if order.order_id in self._orders:
            raise OrderExistsException(order.order_id)
        self._orders[order.order_id] = order

    async def get(self, order_id: str) -> Order:
        """Return an order as it stands."""
        order = await self.find(order_id)
        if order is None:
            raise OrderNotFoundException(order_id)
        return order

    async def find(self, order_id: str) -> Order | None:
        """Return an order as it stands, or None."""
        return self._orders.get(order_id)

    async def replace(self, before: Order, after: Order) -> None:
        """Keep what an order became."""
        kept = self._orders.get(before.order_id)
        if kept is None or kept.version != before.version:
            raise OrderChangedException(before.order_id, before.version)
        self._orders[after.order_id] = after

    async def of_customer(self, customer_id: str, limit: int) -> list[Order]:
        """Return a customer's orders, the newest first."""
        theirs = [order for order in self._orders.values() if order.customer_id == customer_id]
        return sorted(theirs, key=lambda order: (-order.created_at.timestamp(), order.order_id))[:limit]
