"""A `traceparent` that cannot be read costs the trace and not the command."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.bootstrap import order_service
from service.settings import EVENTS
from tests.scenario.deployment import Deployed, deployed, settings_in
from tests.scenario.test_bad_input import CREATE, JSON, order, record


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def orders(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    async with deployed(order_service(settings_in(tmp_path_factory.mktemp("orders")))) as found:
        yield found


TRACEPARENTS = {
    "empty": b"",
    "nonsense": b"nonsense",
    "all zeros": b"00-00000000000000000000000000000000-0000000000000000-01",
    "not UTF-8": b"\xff\xfe",
    "too long": b"00-" + b"a" * 5000,
    "null": None,
}


@pytest.mark.parametrize("name", TRACEPARENTS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_malformed_traceparent_costs_the_trace_and_not_the_command(orders: Deployed, name: str) -> None:
    key = f"traceparent {name}"
    await orders.produce(order(order_id=key), (CREATE, JSON, ("traceparent", TRACEPARENTS[name])), key=key.encode())

    event = await record(orders, EVENTS, key.encode())

    (carried,) = [value for header, value in event.headers if header == "traceparent"]
    assert carried is not None
    assert carried.count(b"-") == 3
