"""The diator library, with the container of its README."""

from dataclasses import dataclass

from di import Container, bind_by_type
from di.dependent import Dependent
from diator.container.di import DIContainer
from diator.events import EventEmitter, EventMap
from diator.mediator import Mediator
from diator.requests import Request, RequestHandler, RequestMap

LIBRARY = "diator"


@dataclass(frozen=True, kw_only=True)
class PlaceOrder(Request):
    """Be the command."""

    order_id: str
    amount: int


@dataclass(frozen=True, kw_only=True)
class GetOrder(Request):
    """Be the query."""

    order_id: str


class _Handler:
    def __init__(self):
        self.emitted = []

    @property
    def events(self):
        """Return the events of this call: none."""
        return self.emitted

    async def handle(self, request):
        """Return the order's id."""
        return request.order_id


class PlaceOrderHandler(_Handler, RequestHandler[PlaceOrder, str]):
    """Do next to nothing."""


class GetOrderHandler(_Handler, RequestHandler[GetOrder, str]):
    """Do next to nothing for a query."""


def _mediator():
    found = Container()
    requests = RequestMap()
    for request, handler in ((PlaceOrder, PlaceOrderHandler), (GetOrder, GetOrderHandler)):
        found.bind(bind_by_type(Dependent(handler, scope="request"), handler))
        requests.bind(request, handler)
    container = DIContainer()
    container.attach_external_container(found)
    emitter = EventEmitter(event_map=EventMap(), container=container, message_broker=None)
    return Mediator(request_map=requests, event_emitter=emitter, container=container)


CONTESTANTS = {
    "send": lambda: (lambda number: PlaceOrder(order_id=f"order-{number}", amount=number), _mediator().send, "order-0"),
    "query": lambda: (lambda number: GetOrder(order_id=f"order-{number}"), _mediator().send, "order-0"),
}
