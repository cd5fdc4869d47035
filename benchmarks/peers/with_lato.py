"""The lato library: an application whose handlers are functions and whose messages are pydantic models."""

from lato import Application, Command, Query

LIBRARY = "lato"


class PlaceOrder(Command):
    """Be the command."""

    order_id: str
    amount: int


class GetOrder(Query):
    """Be the query."""

    order_id: str


application = Application("orders")


@application.handler(PlaceOrder)
async def place_order(command: PlaceOrder):
    """Return the order's id."""
    return command.order_id


@application.handler(GetOrder)
async def get_order(query: GetOrder):
    """Return the order's id."""
    return query.order_id


CONTESTANTS = {
    "send": lambda: (
        lambda number: PlaceOrder(order_id=f"order-{number}", amount=number),
        application.execute_async,
        "order-0",
    ),
    "query": lambda: (lambda number: GetOrder(order_id=f"order-{number}"), application.execute_async, "order-0"),
}
