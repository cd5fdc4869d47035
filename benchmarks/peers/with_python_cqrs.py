"""python-cqrs, which is imported under the name of our own package: this file runs where ours is not on the path."""

import di

import cqrs
from cqrs.bootstrap import requests as bootstrap

LIBRARY = "python-cqrs"


class PlaceOrder(cqrs.Request[None]):
    """Be the command; its logging middleware takes no result but a Response, so it returns None as in the README."""

    order_id: str
    amount: int


class Order(cqrs.Response):
    """Be the answer to the query."""

    order_id: str


class GetOrder(cqrs.Request[Order]):
    """Be the query."""

    order_id: str


class PlaceOrderHandler(cqrs.RequestHandler[PlaceOrder]):
    """Do next to nothing."""

    async def handle(self, request):
        """Return nothing."""


class GetOrderHandler(cqrs.RequestHandler[GetOrder]):
    """Do next to nothing for a query."""

    async def handle(self, request):
        """Return the order."""
        return Order(order_id=request.order_id)


class KeptHandlers:
    """Be the cheapest container there is: it hands out the same handlers again."""

    def __init__(self, *handlers):
        self._handlers = {type(handler): handler for handler in handlers}

    async def resolve(self, type_):
        """Return the one handler of a class."""
        return self._handlers[type_]


def _place(number):
    return PlaceOrder(order_id=f"order-{number}", amount=number)


def _get(number):
    return GetOrder(order_id=f"order-{number}")


def _bootstrapped():
    return bootstrap.bootstrap(
        di_container=di.Container(),
        commands_mapper=lambda requests: requests.bind(PlaceOrder, PlaceOrderHandler),
        queries_mapper=lambda requests: requests.bind(GetOrder, GetOrderHandler),
    )


def _bare():
    requests = cqrs.RequestMap()
    requests.bind(PlaceOrder, PlaceOrderHandler)
    return cqrs.RequestMediator(requests, KeptHandlers(PlaceOrderHandler()))


CONTESTANTS = {
    "send": lambda: (_place, _bootstrapped().send, None),
    "send, bare": lambda: (_place, _bare().send, None),
    "query": lambda: (_get, _bootstrapped().send, Order(order_id="order-0")),
}
