"""Whatever a record holds, the process goes on: it is in the dead letters with its true cause, its bytes untouched."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from cqrs.messaging.message import Headers, Message
from cqrs.testing.outside_client import Received
from service.bootstrap import order_service
from service.settings import EVENTS
from tests.scenario.deployment import DEAD_LETTERS, Deployed, deployed, settings_in

CREATE = ("ce_type", b"orders.CreateOrder")
JSON = ("content-type", b"application/json")
AVRO = ("content-type", b"application/avro")
ORDER: dict[str, object] = {
    "order_id": "o-bad",
    "customer_id": "c-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}],
    "currency": "EUR",
}


def order(**changed: object) -> bytes:
    return json.dumps({**ORDER, **changed}).encode()


def item(**changed: object) -> bytes:
    return order(items=[{"sku": "A", "quantity": 2, "unit_price": "9.99", **changed}])


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in ORDER.items() if key != name}).encode()


@dataclass(frozen=True)
class Bad:
    """Be a record that is refused, with the cause that its dead letter must name."""

    value: bytes | None
    cause: str
    says: str = ""
    headers: Headers = field(default=(CREATE, JSON))


UNDECODABLE = "UndecodableMessageException"
UNKNOWN = "UnknownMessageTypeException"
INVALID = "CqrsValidationException"

CASES = {
    "null value": Bad(None, UNDECODABLE, "null"),
    "empty value": Bad(b"", UNDECODABLE),
    "invalid JSON": Bad(b'{"order_id": ', UNDECODABLE),
    "JSON that is not UTF-8": Bad(b'{"order_id": "\xff"}', UNDECODABLE),
    "JSON that is not an object": Bad(b"[1, 2]", UNDECODABLE),
    "JSON nested 50,000 levels deep": Bad(b"[" * 50_000 + b"]" * 50_000, UNDECODABLE, "deep"),
    "JSON with the same key twice": Bad(b'{"order_id": "a", "order_id": "b"}', UNDECODABLE, "order_id"),
    "JSON that names no number": Bad(item(quantity=2).replace(b": 2,", b": NaN,"), UNDECODABLE, "NaN"),
    "text for an int": Bad(item(quantity="2"), UNDECODABLE, "quantity"),
    "a fraction for an int": Bad(item(quantity=2.5), UNDECODABLE, "quantity"),
    "a bool for an int": Bad(item(quantity=True), UNDECODABLE, "quantity"),
    "an int that Avro cannot hold": Bad(item(quantity=2**40), UNDECODABLE, "quantity"),
    "more decimals than the schema": Bad(item(unit_price="9.999"), UNDECODABLE, "unit_price"),
    "a number for a text": Bad(order(customer_id=7), UNDECODABLE, "customer_id"),
    "null for a text": Bad(order(customer_id=None), UNDECODABLE, "customer_id"),
    "a missing field": Bad(without("currency"), UNDECODABLE, "currency"),
    "an unknown field": Bad(order(discount=1), UNDECODABLE, "discount"),
    "an unknown field of an item": Bad(item(colour="red"), UNDECODABLE, "colour"),
    "no items": Bad(order(items=[]), INVALID, "items"),
    "a negative quantity": Bad(item(quantity=-1), INVALID, "quantity"),
    "a negative price": Bad(item(unit_price="-0.01"), INVALID, "unit_price"),
    "a currency in small letters": Bad(order(currency="eur"), INVALID, "currency"),
    "an unknown type": Bad(order(), UNKNOWN, "orders.Destroy", (("ce_type", b"orders.Destroy"), JSON)),
    "no type at all": Bad(order(), UNKNOWN, "ce_type", (JSON,)),
    "an unknown type in the value": Bad(b'{"type": "orders.Destroy", "data": {}}', UNKNOWN, "orders.Destroy", ()),
    "a type that is not UTF-8": Bad(order(), UNKNOWN, "not UTF-8", (("ce_type", b"\xff\xfe"), JSON)),
    "a type that is null": Bad(order(), UNKNOWN, "ce_type", (("ce_type", None), JSON)),
    "two different types": Bad(
        order(), "InvalidMessageException", "twice", (CREATE, ("ce_type", b"orders.AddItem"), JSON)
    ),
    "an unknown content type": Bad(
        order(), "InvalidMessageException", "text/xml", (CREATE, ("content-type", b"text/xml"))
    ),
    "Avro shorter than its frame": Bad(b"\x00\x00", UNDECODABLE, "", (CREATE, AVRO)),
    "Avro without its frame": Bad(b"\x07garbage", UNDECODABLE, "", (CREATE, AVRO)),
    "Avro of an unknown schema id": Bad(b"\x00\x00\x0f\x42\x40abc", UNDECODABLE, "1000000", (CREATE, AVRO)),
    "Avro of an unknown schema id, no header": Bad(b"\x00\x00\x0f\x42\x40abc", UNDECODABLE, "1000000", ()),
    "a value over the limit": Bad(b" " * (1_048_576 + 1), UNDECODABLE, "MAX_MESSAGE_BYTES"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    """Deploy one order service for every record of this file: it survives them all."""
    async with deployed(order_service(settings_in(tmp_path_factory.mktemp("orders")))) as found:
        yield found


def carrying(key: bytes) -> Callable[[Sequence[Received]], bool]:
    return lambda found: any(each.message.key == key for each in found)


async def record(orders: Deployed, topic: str, key: bytes) -> Message:
    found = await orders.until(topic, carrying(key))
    (wanted,) = [each.message for each in found if each.message.key == key]
    return wanted


@pytest.mark.parametrize("name", CASES)
@pytest.mark.asyncio(loop_scope="module")
async def test_it_goes_to_the_dead_letters_and_the_good_record_behind_it_is_handled(
    orders: Deployed, name: str
) -> None:
    bad, good_key = CASES[name], f"good behind {name}"
    await orders.produce(bad.value, bad.headers, key=name.encode())
    await orders.produce(order(order_id=good_key), (CREATE, JSON), key=good_key.encode())

    letter = await record(orders, DEAD_LETTERS, name.encode())
    await record(orders, EVENTS, good_key.encode())

    headers = dict(letter.headers)
    assert letter.value == bad.value
    for header in bad.headers:
        assert header in letter.headers
    names = [headers.get("kafka_dlt-exception-fqcn"), headers.get("kafka_dlt-exception-cause-fqcn")]
    assert bad.cause in str(names)
    assert bad.says in str(headers["kafka_dlt-exception-message"])
