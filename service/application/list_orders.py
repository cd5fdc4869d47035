"""Look at a customer's orders."""

from dataclasses import dataclass

from cqrs.container import service
from cqrs.decorators import query_handler
from cqrs.query.handler import QueryHandler
from cqrs.types import Query
from cqrs.validation.types import ValidationResult
from service.application.findings import findings
from service.application.order_view import OrderView, view_of
from service.application.orders import Orders
from service.domain.rules import customer_id_problems

MAX_LIMIT = 500
"""The most orders that one answer holds."""


@dataclass(frozen=True)
class ListOrders(Query[list[OrderView]]):
    """Ask for a customer's orders, the newest first.

    Attributes:
        customer_id: Whose orders.
        limit: How many at most, from 1 to 500.
    """

    customer_id: str
    limit: int = 100

    async def validate(self) -> ValidationResult:
        """Check every field."""
        wrong_limit = [] if 1 <= self.limit <= MAX_LIMIT else [("limit", f"must be from 1 to {MAX_LIMIT}")]
        return findings([*customer_id_problems(self.customer_id), *wrong_limit])


# Not cacheable: most events of an order do not say whose it is, so none could tell which lists they make stale.
@query_handler(description="Look at a customer's orders.")
@service
class ListOrdersHandler(QueryHandler[ListOrders, list[OrderView]]):
    """Read a customer's orders."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, query: ListOrders) -> list[OrderView]:
        """Show the orders as they stand now."""
        return [view_of(order) for order in await self._orders.of_customer(query.customer_id, query.limit)]
