"""Look at one order."""

from dataclasses import dataclass

from cqrs.container import service
from cqrs.decorators import query_handler
from cqrs.query.handler import QueryHandler
from cqrs.query.staleness import stale_after
from cqrs.types import Query
from cqrs.validation.types import ValidationResult
from service.application.findings import findings
from service.application.order_view import OrderView, view_key, view_of
from service.application.orders import Orders
from service.domain.events import ItemAdded, OrderCancelled, OrderCreated
from service.domain.rules import order_id_problems


@dataclass(frozen=True)
class GetOrder(Query[OrderView | None]):
    """Ask for an order; the answer is None when there is none.

    Attributes:
        order_id: The order.
    """

    order_id: str

    def get_cache_key(self) -> str:
        """Return the key under which the answer is cached."""
        return view_key(self.order_id)

    async def validate(self) -> ValidationResult:
        """Check the order's id."""
        return findings(order_id_problems(self.order_id))


@stale_after(OrderCreated, ItemAdded, OrderCancelled, key=view_key("{order_id}"))
@query_handler(cacheable=True, description="Look at one order.")
@service
class GetOrderHandler(QueryHandler[GetOrder, OrderView | None]):
    """Read one order."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, query: GetOrder) -> OrderView | None:
        """Show the order as it stands now."""
        order = await self._orders.find(query.order_id)
        return None if order is None else view_of(order)
