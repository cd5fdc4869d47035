"""Look at one order."""

from dataclasses import dataclass

from cqrs.container import service
from cqrs.decorators import query_handler
from cqrs.query.handler import QueryHandler
from cqrs.types import Query
from cqrs.validation.types import ValidationResult
from service.application.findings import findings
from service.application.order_view import OrderView, view_of
from service.application.orders import Orders
from service.domain.rules import order_id_problems


@dataclass(frozen=True)
class GetOrder(Query[OrderView | None]):
    """Ask for an order; the answer is None when there is none.

    Attributes:
        order_id: The order.
    """

    order_id: str

    async def validate(self) -> ValidationResult:
        """Check the order's id."""
        return findings(order_id_problems(self.order_id))


# Not cacheable: an answer kept by one replica would outlive a command handled by another.
@query_handler(description="Look at one order.")
@service
class GetOrderHandler(QueryHandler[GetOrder, OrderView | None]):
    """Read one order."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, query: GetOrder) -> OrderView | None:
        """Show the order as it stands now."""
        order = await self._orders.find(query.order_id)
        return None if order is None else view_of(order)
