"""Each rule says what is wrong with a value, whatever its type, and never raises."""

import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.item import OrderItem
from service.domain.rules import (
    MAX_QUANTITY,
    MAX_UNIT_PRICE,
    currency_problem,
    item_problems,
    name_problem,
    new_order_problems,
    quantity_problem,
    text_problem,
    unit_price_problem,
)

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.lists(st.text())
)


@given(ANYTHING)
def test_no_value_makes_a_rule_raise(value: object) -> None:
    for rule in (name_problem, text_problem, currency_problem, quantity_problem, unit_price_problem):
        assert rule(value) is None or isinstance(rule(value), str)
    assert len(item_problems("item", value)) == 3


@pytest.mark.parametrize("value", ["o-1", "Ä 1", "订单", "x" * 255])
def test_names_that_pass(value: str) -> None:
    assert name_problem(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        ("x" * 256, "must have at most 255 characters, has 256"),
        ("a\x00b", "must have printable characters only"),
        ("a\nb", "must have printable characters only"),
        ("\ud800", "must have printable characters only"),
        (7, "must be text, not int"),
        (None, "must be text, not NoneType"),
    ],
)
def test_names_that_do_not(value: object, problem: str) -> None:
    assert name_problem(value) == problem


@pytest.mark.parametrize("value", ["", "two\nlines", "😀", "x" * 10_000])
def test_free_text_that_passes(value: str) -> None:
    assert text_problem(value) is None


@pytest.mark.parametrize("value", ["\x00", "\ud800", "a\udfffb", None, b"x"])
def test_free_text_that_does_not(value: object) -> None:
    assert text_problem(value) is not None


@given(st.text(string.ascii_uppercase, min_size=3, max_size=3))
def test_three_capital_letters_are_a_currency(value: str) -> None:
    assert currency_problem(value) is None


@pytest.mark.parametrize("value", ["", "EU", "EURO", "eur", "EUr", "ÄÖÜ", "EU1", "EU\n", " EUR", None, 978])
def test_nothing_else_is(value: object) -> None:
    assert currency_problem(value) == "must be three capital letters A-Z, such as EUR"


@pytest.mark.parametrize("value", [1, MAX_QUANTITY])
def test_quantities_that_pass(value: int) -> None:
    assert quantity_problem(value) is None


@pytest.mark.parametrize("value", [0, -1, MAX_QUANTITY + 1, True, 1.0, "1", Decimal(1), None])
def test_quantities_that_do_not(value: object) -> None:
    assert quantity_problem(value) is not None


@pytest.mark.parametrize("value", ["0", "-0.00", "0.01", "9.9", "9.990", "1E+3", str(MAX_UNIT_PRICE)])
def test_prices_that_pass(value: str) -> None:
    assert unit_price_problem(Decimal(value)) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Decimal("-0.01"), "must be 0 or more"),
        (Decimal("10000000000.00"), "must be at most 9999999999.99"),
        (Decimal("1E+999999"), "must be at most 9999999999.99"),
        (Decimal("0.001"), "must have at most two decimals"),
        (Decimal("1E-999999"), "must have at most two decimals"),
        (Decimal("NaN"), "must be a number"),
        (Decimal("sNaN"), "must be a number"),
        (Decimal("Infinity"), "must be a number"),
        (9.99, "must be a Decimal, not float"),
        (9, "must be a Decimal, not int"),
        ("9.99", "must be a Decimal, not str"),
    ],
)
def test_prices_that_do_not(value: object, problem: str) -> None:
    assert unit_price_problem(value) == problem


def test_paths_lead_to_the_field() -> None:
    good, bad = OrderItem("A", 1, Decimal(1)), OrderItem("", 0, Decimal(-1))

    assert [path for path, _ in new_order_problems("o-1", "", [good, bad], "")] == [
        "customer_id",
        "items.1.sku",
        "items.1.quantity",
        "items.1.unit_price",
        "currency",
    ]
    assert new_order_problems("o-1", "c-1", [], "EUR") == [("items", "must not be empty")]
    assert new_order_problems("o-1", "c-1", [good], "EUR") == []
