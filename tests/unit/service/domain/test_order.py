"""An order's changes: each makes one event, counts one version up, and keeps the money exact."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import (
    InvalidOrderException,
    NotOrderOwnerException,
    OrderAlreadyCancelledException,
    OrderException,
    OrderTotalTooLargeException,
)
from service.domain.events import ItemAdded, OrderCancelled, OrderCreated
from service.domain.item import OrderItem
from service.domain.order import Order
from service.domain.rules import MAX_QUANTITY, MAX_TOTAL, MAX_UNIT_PRICE

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
PRICES = st.decimals(min_value=0, max_value=9999, places=2)
ITEMS = st.builds(OrderItem, st.text("ABC", min_size=1, max_size=3), st.integers(1, 1000), PRICES)


def item(sku: str = "A", quantity: int = 2, price: str = "9.99") -> OrderItem:
    return OrderItem(sku, quantity, Decimal(price))


def placed(*items: OrderItem) -> Order:
    order, _ = Order.create("o-1", "c-1", items or (item(),), "EUR", NOON)
    return order


def test_creating_makes_the_first_event() -> None:
    order, event = Order.create("o-1", "c-1", [item(), item("B", 1, "0.02")], "EUR", NOON)

    assert event == OrderCreated(
        "o-1", "c-1", (item(), item("B", 1, "0.02")), "EUR", total=Decimal("20.00"), version=1, created_at=NOON
    )
    assert (order.version, order.total, order.created_at) == (1, Decimal("20.00"), NOON)
    assert not order.is_cancelled


def test_adding_makes_the_next_event_with_the_new_total() -> None:
    order, event = placed().add(item("B", 3, "1.50"), NOON)

    assert event == ItemAdded("o-1", item("B", 3, "1.50"), total=Decimal("24.48"), version=2, added_at=NOON)
    assert [line.sku for line in order.items] == ["A", "B"]
    assert order.version == 2


@pytest.mark.parametrize("requester", ["c-1", "admin"])
def test_cancelling_makes_the_last_event(requester: str) -> None:
    order, event = placed().cancel(requester, "changed my mind", NOON)

    assert event == OrderCancelled("o-1", "changed my mind", version=2, cancelled_at=NOON)
    assert (order.is_cancelled, order.cancelled_at, order.cancel_reason) == (True, NOON, "changed my mind")


def test_a_change_leaves_the_order_it_was_made_to_alone() -> None:
    order = placed()
    order.add(item("B"), NOON)
    order.cancel("c-1", "", NOON)

    assert order == placed()


@pytest.mark.parametrize("requester", ["c-2", "", "Admin", "ADMIN", " admin"])
def test_nobody_else_cancels(requester: str) -> None:
    with pytest.raises(NotOrderOwnerException, match="belongs to another customer"):
        placed().cancel(requester, "", NOON)


def test_a_cancelled_order_takes_no_change() -> None:
    order, _ = placed().cancel("c-1", "", NOON)

    with pytest.raises(OrderAlreadyCancelledException, match="o-1 is cancelled"):
        order.add(item(), NOON)
    with pytest.raises(OrderAlreadyCancelledException, match="o-1 is cancelled"):
        order.cancel("c-1", "", NOON)


def test_a_stranger_is_not_told_that_the_order_is_cancelled() -> None:
    order, _ = placed().cancel("c-1", "", NOON)

    with pytest.raises(NotOrderOwnerException):
        order.cancel("c-2", "", NOON)


def test_every_wrong_value_of_a_new_order_is_named() -> None:
    with pytest.raises(InvalidOrderException) as caught:
        Order.create("", "c\n1", [item(quantity=0), item(price="-0.01")], "eur", NOON)

    assert caught.value.problems == (
        ("order_id", "must not be empty"),
        ("customer_id", "must have printable characters only"),
        ("items.0.quantity", "must be greater than 0"),
        ("items.1.unit_price", "must be 0 or more"),
        ("currency", "must be three capital letters A-Z, such as EUR"),
    )
    assert str(caught.value).startswith("order_id: must not be empty; customer_id: ")


def test_an_added_item_and_a_reason_obey_the_same_rules() -> None:
    with pytest.raises(InvalidOrderException, match=r"item\.sku: must not be empty"):
        placed().add(item(sku=" "), NOON)
    with pytest.raises(InvalidOrderException, match="reason: must not have null"):
        placed().cancel("c-1", "a\x00b", NOON)


def test_the_largest_total_is_accepted_and_one_cent_more_refused() -> None:
    full = placed(OrderItem("A", 99, MAX_UNIT_PRICE), OrderItem("B", 1, MAX_UNIT_PRICE), item("C", 1, "0.99"))
    assert full.total == MAX_TOTAL

    with pytest.raises(OrderTotalTooLargeException, match=r"o-1 would cost more than 999999999999\.99"):
        full.add(item("D", 1, "0.01"), NOON)
    with pytest.raises(OrderTotalTooLargeException):
        placed(OrderItem("A", MAX_QUANTITY, MAX_UNIT_PRICE))


def test_a_price_is_kept_with_two_decimals() -> None:
    order, event = Order.create("o-1", "c-1", [item(price="9.9"), item(price="1E+1"), item(price="-0.0")], "EUR", NOON)

    assert [str(line.unit_price) for line in event.items] == ["9.90", "10.00", "0.00"]
    assert str(order.add(item(price="3"), NOON)[1].item.unit_price) == "3.00"


def test_a_time_is_kept_in_utc_and_milliseconds() -> None:
    at = datetime(2025, 3, 1, 13, 0, 0, 123999, tzinfo=timezone(timedelta(hours=1)))
    _, event = Order.create("o-1", "c-1", [item()], "EUR", at)

    assert event.created_at.isoformat() == "2025-03-01T12:00:00.123000+00:00"


def test_a_time_without_timezone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        Order.create("o-1", "c-1", [item()], "EUR", datetime(2025, 3, 1))  # noqa: DTZ001


@given(st.lists(ITEMS, min_size=1, max_size=8), st.lists(ITEMS, max_size=8))
def test_versions_have_no_gap_and_totals_are_exact(first: list[OrderItem], more: list[OrderItem]) -> None:
    order, created = Order.create("o-1", "c-1", first, "EUR", NOON)
    versions, cents = [created.version], sum(line.quantity * int(line.unit_price * 100) for line in first)
    for line in more:
        order, added = order.add(line, NOON)
        versions.append(added.version)
        cents += line.quantity * int(line.unit_price * 100)
        assert added.total == order.total == Decimal(cents) / 100
    order, cancelled = order.cancel("admin", "", NOON)

    assert [*versions, cancelled.version] == list(range(1, len(more) + 3))


def test_what_the_domain_refuses_is_not_worth_a_retry() -> None:
    assert not any(getattr(kind, "retryable", False) for kind in OrderException.__subclasses__())
    assert len(OrderException.__subclasses__()) == 6


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (OrderCreated, "orders.OrderCreated"),
        (ItemAdded, "orders.ItemAdded"),
        (OrderCancelled, "orders.OrderCancelled"),
    ],
)
def test_events_declare_their_wire_names(event: type[OrderCreated], name: str) -> None:
    assert event.event_type == name
