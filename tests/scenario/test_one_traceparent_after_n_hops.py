"""However many hops a record makes, it carries exactly one of each trace header, and stays in its trace."""

import pytest

from cqrs.messaging.dead_letter_headers import PREFIX
from service.settings import COMMANDS
from tests.scenario.deployment import DEAD_LETTERS, Deployed


@pytest.mark.asyncio
async def test_each_hop_carries_exactly_one_of_each_trace_header(orders: Deployed) -> None:
    given = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    value = b'{"type": "orders.CreateOrder", "data": {}}'
    await orders.produce(value, (("traceparent", given), ("tracestate", b"a=1"), ("baggage", b"k=v")), key=b"o-1")

    (letter,) = await orders.letters(1)

    names = [name for name, _ in letter.headers]
    assert names.count("traceparent") == names.count("tracestate") == names.count("baggage") == 1
    traceparent = dict(letter.headers)["traceparent"]
    assert traceparent is not None
    assert traceparent.split(b"-")[1] == given.split(b"-")[1], "the sender's trace goes on"
    assert traceparent != given, "under a span of ours"


@pytest.mark.asyncio
async def test_after_several_hops_there_is_still_one_and_headers_do_not_grow(orders: Deployed) -> None:
    value, headers = b'{"type": "orders.CreateOrder", "data": {}}', (("baggage", b"k=v"),)
    await orders.produce(value, headers, key=b"o-1")
    sizes: list[int] = []
    for hop in range(1, 4):
        letters = await orders.until(DEAD_LETTERS, lambda found, wanted=hop: len(found) >= wanted)  # type: ignore[misc]
        newest = max((each.message for each in letters), key=lambda each: each.offset)
        names = [name for name, _ in newest.headers]
        assert [names.count(name) for name in ("traceparent", "baggage")] == [1, 1]
        assert len(names) == len(set(names)), "every header stands there once"
        sizes.append(len([name for name in names if name.startswith(PREFIX)]))
        await orders.produce(newest.value, newest.headers, key=newest.key, topic=COMMANDS)

    assert len(set(sizes)) == 1
