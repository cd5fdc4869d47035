"""Headers with bytes that nobody can read never lose the record."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cqrs.messaging.message import Headers
from service.bootstrap import order_service
from service.settings import EVENTS
from tests.scenario.deployment import Deployed, deployed, settings_in
from tests.scenario.test_bad_input import CREATE, JSON, order, record


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    async with deployed(order_service(settings_in(tmp_path_factory.mktemp("orders")))) as found:
        yield found


HEADERS: dict[str, Headers] = {
    "a value that is not UTF-8": (("some", b"\xff\xfe"),),
    "repeated and null": (("some", None), ("some", b"1"), ("some", b"2")),
    "a correlation id that is not UTF-8": (("ce_correlationid", b"\xff"),),
    "a time before the calendar": (("ce_time", b"0001-01-01T00:00:00+14:00"),),
    "a time behind the calendar": (("ce_time", b"9999-12-31T23:59:59-14:00"),),
    "an empty name": (("", b"no name"),),
    "the same type twice": (CREATE, ("ce_source", None), ("ce_time", b"\xff")),
    "the same traceparent twice": (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),) * 2,
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.asyncio(loop_scope="module")
async def test_odd_headers_that_decide_nothing_do_no_harm(orders: Deployed, name: str) -> None:
    key = f"headers {name}"
    await orders.produce(order(order_id=key), (CREATE, JSON, *HEADERS[name]), key=key.encode())

    await record(orders, EVENTS, key.encode())
