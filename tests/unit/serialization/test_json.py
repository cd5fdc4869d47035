import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs.exceptions import UndecodableMessageException, UnpublishableEventException
from cqrs.messaging.message import Message
from cqrs.serialization.json import JsonDecoder, JsonEncoder, parse_json
from cqrs.types import Command, message_type


@dataclass(frozen=True)
class Line:
    sku: str
    quantity: int
    unit_price: Decimal


@message_type("shop.Order")
@dataclass(frozen=True)
class Order(Command[str]):
    order_id: str
    lines: tuple[Line, ...]
    note: str | None = None


@dataclass(frozen=True)
class Ordered:
    event_type: ClassVar[str] = "shop.Ordered"
    order_id: str
    lines: tuple[Line, ...]
    at: datetime
    token: UUID
    raw: bytes = b"\x00\xff"


GOOD = {"order_id": "o-1", "lines": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}]}
EXPECTED = Order("o-1", (Line("A", 2, Decimal("9.99")),))


def record(value: object) -> Message:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Message("orders.commands", 0, 0, None, raw)


async def decode(value: object, declared: str | None = "shop.Order") -> Order:
    payload = await JsonDecoder().parse(record(value), declared)
    return payload.build(Order)


@pytest.mark.asyncio
async def test_a_declared_type_means_a_bare_body() -> None:
    payload = await JsonDecoder().parse(record(GOOD), "shop.Order")

    assert payload.type_name is None
    assert payload.build(Order) == EXPECTED


@pytest.mark.asyncio
async def test_without_one_the_envelope_names_the_type() -> None:
    payload = await JsonDecoder().parse(record({"type": "shop.Order", "data": GOOD}), None)

    assert payload.type_name == "shop.Order"
    assert payload.build(Order) == EXPECTED


@pytest.mark.asyncio
async def test_without_one_a_body_of_unnamed_type_is_bare() -> None:
    payload = await JsonDecoder().parse(record(GOOD), None)

    assert payload.type_name is None
    assert payload.build(Order) == EXPECTED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("envelope", "says"),
    [
        ({"type": 5, "data": {}}, "type must be a string"),
        ({"type": "shop.Order", "data": {}, "extra": 1}, "unknown: extra"),
    ],
)
async def test_an_envelope_is_strict(envelope: object, says: str) -> None:
    with pytest.raises(UndecodableMessageException, match=says):
        await JsonDecoder().parse(record(envelope), None)


@pytest.mark.asyncio
@pytest.mark.parametrize("price", [b'"9.99"', b"9.99", b"999e-2"])
async def test_money_is_exact_from_a_string_and_from_a_number(price: bytes) -> None:
    body = b'{"order_id": "o-1", "lines": [{"sku": "A", "quantity": 2, "unit_price": %b}]}' % price

    assert (await decode(body)).lines[0].unit_price == Decimal("9.99")


@pytest.mark.asyncio
async def test_a_number_with_more_digits_than_a_double_stays_as_it_is() -> None:
    body = (
        b'{"order_id": "o", "lines": [{"sku": "A", "quantity": 1, "unit_price": 0.1000000000000000055511151231257827}]}'
    )

    assert (await decode(body)).lines[0].unit_price == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.asyncio
async def test_every_misfit_is_named_with_its_path() -> None:
    bad = {
        "lines": [
            {"sku": 5, "quantity": 2, "unit_price": "1"},
            {"sku": "A", "quantity": True, "unit_price": "x"},
            {"sku": "A", "quantity": "3", "unit_price": "1", "colour": "red"},
        ],
        "note": 1,
    }

    with pytest.raises(UndecodableMessageException) as raised:
        await decode(bad)

    for path in ("order_id: is missing", "lines[0].sku", "lines[1].quantity", "lines[1].unit_price", "note"):
        assert path in str(raised.value)
    assert "lines[2].quantity" in str(raised.value)
    assert "lines[2].colour: is not known" in str(raised.value)


@pytest.mark.asyncio
async def test_a_refusal_does_not_repeat_what_the_message_holds() -> None:
    with pytest.raises(UndecodableMessageException) as raised:
        await decode({**GOOD, "note": ["the card's number"]})

    assert "card" not in str(raised.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("quantity", ["2", True, 2.0, 2.5, None, [2]])
async def test_an_integer_is_an_integer(quantity: object) -> None:
    with pytest.raises(UndecodableMessageException, match=r"lines\[0\].quantity"):
        await decode({"order_id": "o", "lines": [{"sku": "A", "quantity": quantity, "unit_price": "1"}]})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "utf-8"),
        (b'{"a": 1} x', "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' stands twice"),
        (b"[" * 50_000 + b"]" * 50_000, "deeper than 64"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "deeper than 64"),
        (b"[" * 50_000, "deeper than 64"),
        (b"9" * 5_000, "not JSON"),
        (b'{"a": 1e99999999999999999999}', "more digits"),
        ("\ufeff{}".encode(), "not JSON"),
        (b"5", "must be an object"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'{"order_id": "\\ud800", "lines": []}', "surrogate"),
    ],
)
async def test_nasty_input_is_refused(value: bytes, says: str) -> None:
    with pytest.raises(UndecodableMessageException, match=says):
        await decode(value)


@pytest.mark.asyncio
async def test_a_value_over_the_limit_is_not_parsed() -> None:
    decoder = JsonDecoder(max_bytes=10)

    with pytest.raises(UndecodableMessageException, match="11 bytes, more than the 10"):
        await decoder.parse(record(b'"123456789"'), None)


def test_brackets_in_strings_are_no_depth() -> None:
    text = "[{" * 1000 + '"\\'

    assert parse_json(json.dumps([text]).encode(), max_depth=1) == [text]


@pytest.mark.parametrize("value", [b'"' + b'\\"' * 200_000, b'["' + b'\\"[' * 200_000])
def test_an_endless_string_is_refused_in_linear_time(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"Unterminated|deeper"):
        parse_json(value + b"[" * 100)


SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_python_writes_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\1.eE-tn ', max_size=60).map(str.encode))
def test_no_input_raises_anything_but_value_error(value: bytes) -> None:
    try:
        parse_json(value)
    except ValueError:
        return


def refusing(reason: str) -> Callable[[object], None]:
    def contract(value: object) -> None:
        assert isinstance(value, Order)
        raise UndecodableMessageException(reason)

    return contract


@pytest.mark.asyncio
async def test_the_contract_has_the_last_word() -> None:
    payload = await JsonDecoder(contract=refusing("not in the schema")).parse(record(GOOD), "shop.Order")

    with pytest.raises(UndecodableMessageException, match="not in the schema"):
        payload.build(Order)


@pytest.mark.asyncio
async def test_an_event_is_written_whole() -> None:
    event = Ordered(
        "o-1",
        (Line("Ä", 1, Decimal("1.50")),),
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=1))),
        UUID(int=7),
    )

    encoded = await JsonEncoder().encode(event, "orders.events")

    assert (encoded.type_name, encoded.content_type, encoded.data_schema) == ("shop.Ordered", "application/json", None)
    assert json.loads(encoded.value) == {
        "order_id": "o-1",
        "lines": [{"sku": "Ä", "quantity": 1, "unit_price": "1.50"}],
        "at": "2026-01-02T03:04:05.678901+01:00",
        "token": "00000000-0000-0000-0000-000000000007",
        "raw": "AP8=",
    }


@pytest.mark.asyncio
async def test_what_an_encoder_writes_its_decoder_reads() -> None:
    event = Ordered("o-1", (Line("A", 1, Decimal("1.50")),), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=7))
    encoded = await JsonEncoder().encode(event, "orders.events")

    assert (await JsonDecoder().parse(record(encoded.value), "shop.Ordered")).build(Ordered) == event


@dataclass
class Loose:
    event_type: ClassVar[str] = "shop.Loose"
    what: object
    other: object = None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (datetime(2026, 1, 1), "what: is a datetime without an offset"),  # noqa: DTZ001
        (float("nan"), "what: nan has no form"),
        (Decimal("Infinity"), "what: Infinity has no form"),
        (object(), "what: object has no form"),
        ({1: "a"}, "what: a key of an object must be a string"),
        ([1, [object()]], r"what\[1\]\[0\]: object has no form"),
        ("\ud800", "what: holds half of a surrogate"),
        pytest.param(1 << 20_000, "cannot be written as JSON", id="huge"),
    ],
)
async def test_what_json_cannot_say_fails_the_event(value: object, says: str) -> None:
    with pytest.raises(UnpublishableEventException, match=says):
        await JsonEncoder().encode(Loose(value), "t")


@pytest.mark.asyncio
async def test_an_event_that_holds_itself_fails() -> None:
    event = Loose(None)
    event.what = event

    with pytest.raises(UnpublishableEventException, match="holds itself, or"):
        await JsonEncoder().encode(event, "t")


@pytest.mark.asyncio
async def test_all_that_does_not_fit_is_named() -> None:
    with pytest.raises(UnpublishableEventException, match=r"what: .*; other: "):
        await JsonEncoder().encode(Loose(object(), object()), "t")


class Nameless(BaseModel):
    value: int


@pytest.mark.asyncio
async def test_an_event_without_a_name_is_no_event() -> None:
    encoder = JsonEncoder()

    with pytest.raises(UnpublishableEventException, match="declares no name"):
        await encoder.encode(Nameless(value=1), "t")
    assert len(encoder.problems(Nameless, "t")) == 1
    assert encoder.problems(Ordered, "t") == []


@pytest.mark.asyncio
async def test_a_commands_metadata_is_not_part_of_it() -> None:
    command = Order("o-1", ())
    command.set_correlation_id("c-1")
    command.set_metadata("colour", "red")

    encoded = await JsonEncoder().encode(command, "t")

    assert json.loads(encoded.value) == {"order_id": "o-1", "lines": [], "note": None}


@pytest.mark.asyncio
@pytest.mark.parametrize("declared", ["shop.Nobody", None])
async def test_a_value_can_be_read_without_a_class_and_without_its_envelope(declared: str | None) -> None:
    body = {"order_id": "o-1", "total": 1}
    sent = body if declared else {"type": "shop.Nobody", "data": body}
    assert (await JsonDecoder().parse(record(sent), declared)).plain() == body
