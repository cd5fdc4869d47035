"""The mediatr library: a mediator that finds the handler of a request by its class."""

from dataclasses import dataclass

from mediatr import Mediator

LIBRARY = "mediatr"


@dataclass(frozen=True)
class PlaceOrder:
    """Be the command."""

    order_id: str
    amount: int


@dataclass(frozen=True)
class GetOrder:
    """Be the query."""

    order_id: str


@Mediator.handler
class PlaceOrderHandler:
    """Do next to nothing."""

    async def handle(self, request: PlaceOrder):
        """Return the order's id."""
        return request.order_id


@Mediator.handler
class GetOrderHandler:
    """Do next to nothing for a query."""

    async def handle(self, request: GetOrder):
        """Return the order's id."""
        return request.order_id


CONTESTANTS = {
    "send": lambda: (lambda number: PlaceOrder(f"order-{number}", number), Mediator().send_async, "order-0"),
    "query": lambda: (lambda number: GetOrder(f"order-{number}"), Mediator().send_async, "order-0"),
}
