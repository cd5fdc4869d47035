"""Each handler on its own, with the fake that ships beside its port."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.container import is_service
from cqrs.decorators import HandlerKind, handler_kind, handler_options
from cqrs.event.decorators import EventRoute, event_route
from cqrs.event.emission import EmittedEvents
from cqrs.query.staleness import rules_of
from cqrs.types import restore_metadata
from service.application.add_item import AddItem, AddItemHandler
from service.application.cancel_order import CancelOrder, CancelOrderHandler
from service.application.create_order import CreateOrder, CreateOrderHandler
from service.application.get_order import GetOrder, GetOrderHandler
from service.application.list_orders import ListOrders, ListOrdersHandler
from service.application.order_view import OrderView
from service.application.orders import InMemoryOrders
from service.domain.errors import (
    NotOrderOwnerException,
    OrderAlreadyCancelledException,
    OrderExistsException,
    OrderNotFoundException,
)
from service.domain.events import ItemAdded, OrderCancelled, OrderCreated
from service.domain.item import OrderItem
from service.domain.order import Order

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
ITEM = OrderItem("A", 2, Decimal("9.99"))
ORDER = Order("o-1", "c-1", "EUR", (ITEM,), 1, NOON)
CANCELLED, _ = ORDER.cancel("c-1", "changed my mind", NOON)
COMMAND_HANDLERS = [CreateOrderHandler, AddItemHandler, CancelOrderHandler]
QUERY_HANDLERS = [GetOrderHandler, ListOrdersHandler]


def given_at_noon(command: CreateOrder | AddItem | CancelOrder) -> None:
    restore_metadata(command, timestamp=NOON)


@pytest.mark.asyncio
async def test_create_order_keeps_it_and_says_so() -> None:
    orders, command = InMemoryOrders(), CreateOrder("o-1", "c-1", (ITEM,), "EUR")
    given_at_noon(command)

    with (emitted := EmittedEvents()):
        answer = await CreateOrderHandler(orders).do_handle(command)

    assert answer == "o-1"
    assert await orders.get("o-1") == ORDER
    assert emitted.events == [OrderCreated("o-1", "c-1", (ITEM,), "EUR", Decimal("19.98"), 1, NOON)]


@pytest.mark.asyncio
async def test_add_item_keeps_it_and_says_so() -> None:
    orders, command = InMemoryOrders(ORDER), AddItem("o-1", OrderItem("B", 1, Decimal("0.02")))
    given_at_noon(command)

    with (emitted := EmittedEvents()):
        answer = await AddItemHandler(orders).do_handle(command)

    assert answer == 2
    assert (await orders.get("o-1")).items == (ITEM, command.item)
    assert emitted.events == [ItemAdded("o-1", command.item, Decimal("20.00"), 2, NOON)]


@pytest.mark.asyncio
@pytest.mark.parametrize("requester", ["c-1", "admin"])
async def test_cancel_order_keeps_it_and_says_so(requester: str) -> None:
    orders, command = InMemoryOrders(ORDER), CancelOrder("o-1", requester, "changed my mind")
    given_at_noon(command)

    with (emitted := EmittedEvents()):
        answer = await CancelOrderHandler(orders).do_handle(command)

    assert answer == 2
    assert await orders.get("o-1") == CANCELLED
    assert emitted.events == [OrderCancelled("o-1", "changed my mind", 2, NOON)]


@pytest.mark.asyncio
async def test_a_command_run_again_makes_the_same_event() -> None:
    command = CreateOrder("o-1", "c-1", (ITEM,), "EUR")
    said = []
    for _ in range(2):
        with (emitted := EmittedEvents()):
            await CreateOrderHandler(InMemoryOrders()).do_handle(command)
        said += emitted.events

    assert said[0] == said[1]


@pytest.mark.asyncio
async def test_a_refused_command_emits_nothing() -> None:
    orders = InMemoryOrders(ORDER, replace(CANCELLED, order_id="o-2"))
    with (emitted := EmittedEvents()):
        with pytest.raises(OrderExistsException):
            await CreateOrderHandler(orders).do_handle(CreateOrder("o-1", "c-2", (ITEM,), "EUR"))
        with pytest.raises(OrderNotFoundException):
            await AddItemHandler(orders).do_handle(AddItem("o-9", ITEM))
        with pytest.raises(OrderAlreadyCancelledException):
            await AddItemHandler(orders).do_handle(AddItem("o-2", ITEM))
        with pytest.raises(OrderNotFoundException):
            await CancelOrderHandler(orders).do_handle(CancelOrder("o-9", "c-1", ""))
        with pytest.raises(NotOrderOwnerException):
            await CancelOrderHandler(orders).do_handle(CancelOrder("o-1", "c-2", ""))
        with pytest.raises(OrderAlreadyCancelledException):
            await CancelOrderHandler(orders).do_handle(CancelOrder("o-2", "admin", ""))

    assert emitted.events == []
    assert await orders.get("o-1") == ORDER


@pytest.mark.asyncio
async def test_somebody_elses_order_is_an_authorization_denied() -> None:
    handler = CancelOrderHandler(InMemoryOrders(ORDER))

    with pytest.raises(AuthorizationException) as caught:
        await handler.handle(CancelOrder("o-1", "c-2", ""))

    assert isinstance(caught.value.__cause__, NotOrderOwnerException)
    (error,) = caught.value.result.errors
    assert (error.resource, error.denied_action) == ("order", "cancel")
    assert error.message == "Order o-1 belongs to another customer; c-2 may not cancel it."


@pytest.mark.asyncio
async def test_get_order_shows_it() -> None:
    handler = GetOrderHandler(InMemoryOrders(ORDER, replace(CANCELLED, order_id="o-2")))

    assert await handler.do_handle(GetOrder("o-1")) == OrderView(
        "o-1", "c-1", "EUR", (ITEM,), Decimal("19.98"), "open", 1, NOON, cancelled_at=None, cancel_reason=None
    )
    assert await handler.do_handle(GetOrder("o-2")) == OrderView(
        "o-2", "c-1", "EUR", (ITEM,), Decimal("19.98"), "cancelled", 2, NOON, NOON, "changed my mind"
    )
    assert await handler.do_handle(GetOrder("o-9")) is None


@pytest.mark.asyncio
async def test_list_orders_shows_a_customers_newest() -> None:
    stored = [replace(ORDER, order_id=f"o-{day}", created_at=NOON.replace(day=day)) for day in range(1, 6)]
    handler = ListOrdersHandler(InMemoryOrders(*stored, replace(ORDER, order_id="x", customer_id="c-2")))

    shown = await handler.do_handle(ListOrders("c-1", 3))

    assert [view.order_id for view in shown] == ["o-5", "o-4", "o-3"]


@pytest.mark.parametrize("handler", COMMAND_HANDLERS)
def test_command_handlers_publish_avro_by_order(handler: type) -> None:
    assert handler_kind(handler) is HandlerKind.COMMAND
    assert event_route(handler) == EventRoute("orders.events", "avro", "order_id")


def test_an_order_may_be_kept_until_an_event_or_a_command_of_its_own_makes_it_stale() -> None:
    assert handler_options(GetOrderHandler).cacheable
    assert {rule.event_type for rule in rules_of(GetOrderHandler)} == {
        each.event_type for each in (OrderCreated, ItemAdded, OrderCancelled)
    }
    key = GetOrder("o-1").get_cache_key()
    assert {rule.key.format(order_id="o-1") for rule in rules_of(GetOrderHandler)} == {key}
    commands = (CreateOrder("o-1", "c-1", (ITEM,), "EUR"), AddItem("o-1", ITEM), CancelOrder("o-1", "c-1", ""))
    assert {command.get_cache_key() for command in commands} == {key}


def test_no_event_says_which_lists_it_makes_stale_so_none_is_kept() -> None:
    assert not handler_options(ListOrdersHandler).cacheable


@pytest.mark.parametrize("handler", [*COMMAND_HANDLERS, *QUERY_HANDLERS])
def test_handlers_are_found_and_described(handler: type) -> None:
    assert is_service(handler)
    assert handler_options(handler).description.endswith(".")
