"""What commands and queries refuse before any handler runs: every wrong field at once, by its path."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.types import declared_name
from service.application.add_item import AddItem
from service.application.cancel_order import CancelOrder
from service.application.create_order import CreateOrder
from service.application.get_order import GetOrder
from service.application.list_orders import MAX_LIMIT, ListOrders
from service.domain.item import OrderItem

ITEM = OrderItem("A", 2, Decimal("9.99"))
CREATE = CreateOrder("o-1", "c-1", (ITEM,), "EUR")
ADD = AddItem("o-1", ITEM)
CANCEL = CancelOrder("o-1", "c-1", "changed my mind")

Message = CreateOrder | AddItem | CancelOrder | GetOrder | ListOrders


@pytest.mark.parametrize(
    ("kind", "name"),
    [(CreateOrder, "orders.CreateOrder"), (AddItem, "orders.AddItem"), (CancelOrder, "orders.CancelOrder")],
)
def test_commands_declare_their_wire_names(kind: type, name: str) -> None:
    assert declared_name(kind) == name


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "message",
    [
        CREATE,
        replace(CREATE, items=(OrderItem("A", 1, Decimal(0)),)),
        ADD,
        CANCEL,
        replace(CANCEL, reason=""),
        replace(CANCEL, requested_by=""),
        GetOrder("o-1"),
        ListOrders("c-1"),
        ListOrders("c-1", 1),
        ListOrders("c-1", MAX_LIMIT),
    ],
    ids=repr,
)
async def test_what_is_valid(message: Message) -> None:
    result = await message.validate()

    assert (result.valid, result.errors) == (True, ())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "errors"),
    [
        (replace(CREATE, order_id=""), ["order_id: must not be empty"]),
        (replace(CREATE, customer_id=" "), ["customer_id: must not be empty"]),
        (replace(CREATE, items=()), ["items: must not be empty"]),
        (replace(CREATE, currency="eur"), ["currency: must be three capital letters A-Z, such as EUR"]),
        (
            replace(CREATE, items=(ITEM, replace(ITEM, quantity=0), replace(ITEM, unit_price=Decimal("-1")))),
            ["items.1.quantity: must be greater than 0", "items.2.unit_price: must be 0 or more"],
        ),
        (
            CreateOrder("", "", (OrderItem("", -1, Decimal("0.001")),), ""),
            [
                "order_id: must not be empty",
                "customer_id: must not be empty",
                "items.0.sku: must not be empty",
                "items.0.quantity: must be greater than 0",
                "items.0.unit_price: must have at most two decimals",
                "currency: must be three capital letters A-Z, such as EUR",
            ],
        ),
        (
            AddItem("", replace(ITEM, quantity=0)),
            ["order_id: must not be empty", "item.quantity: must be greater than 0"],
        ),
        (
            CancelOrder("", "c-1", "\x00"),
            ["order_id: must not be empty", "reason: must not have null characters or halves of surrogate pairs"],
        ),
        (GetOrder(""), ["order_id: must not be empty"]),
        (ListOrders("", 0), ["customer_id: must not be empty", "limit: must be from 1 to 500"]),
        (ListOrders("c-1", MAX_LIMIT + 1), ["limit: must be from 1 to 500"]),
    ],
)
async def test_what_is_not(message: Message, errors: list[str]) -> None:
    result = await message.validate()

    assert not result.valid
    assert result.error_messages() == errors


@given(
    st.builds(
        CreateOrder,
        st.text(),
        st.text(),
        st.lists(st.builds(OrderItem, st.text(), st.integers(), st.decimals())).map(tuple),
        st.text(),
    )
)
def test_validation_answers_whatever_the_fields_hold(command: CreateOrder) -> None:
    result = asyncio.run(command.validate())

    assert result.valid is (result.errors == ())


@pytest.mark.asyncio
@pytest.mark.parametrize("requester", ["", " ", "\t"])
async def test_nobody_cancels_nothing(requester: str) -> None:
    result = await replace(CANCEL, requested_by=requester).authorize()

    assert not result.authorized
    assert result.error_messages() == ["order: requested_by is empty; only the order's customer or admin cancels"]


@pytest.mark.asyncio
async def test_whose_order_it_is_the_command_does_not_know() -> None:
    assert (await replace(CANCEL, requested_by="anybody").authorize()).authorized
