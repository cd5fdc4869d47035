"""One command is one trace, from the sender of the command to the reader of its event."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cqrs.telemetry.span_memory import SpanMemory, SpanNode, span_tree
from cqrs.testing.outside_client import OutsideClient, Sent
from service.settings import COMMANDS, EVENTS
from tests.scenario.deployment import Deployed

ORDER = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "items": [{"sku": "A", "quantity": 2, "unit_price": "9.99"}],
    "currency": "EUR",
}


@pytest_asyncio.fixture
async def client(orders: Deployed, spans: SpanMemory) -> AsyncIterator[OutsideClient]:
    """Be an outside client whose own spans are kept beside the service's."""
    found = OutsideClient(orders.service.bootstrap_servers, orders.service.registry_url, tracer=orders.service.tracer)
    yield found
    await asyncio.to_thread(found.close)


async def settled(client: OutsideClient, sent: Sent) -> None:
    topics = [EVENTS, f"{COMMANDS}-dlt"]
    (outcome,) = await asyncio.to_thread(client.outcomes, [sent], topics, 20)
    assert outcome.is_known


def shape(node: SpanNode) -> object:
    return {node.span.name: [shape(child) for child in node.children]} if node.children else node.span.name


def every(node: SpanNode) -> list[SpanNode]:
    return [node, *(below for child in node.children for below in every(child))]


@pytest.mark.asyncio
async def test_the_trace_goes_from_the_sender_to_the_reader_of_the_event(
    client: OutsideClient, orders: Deployed, spans: SpanMemory
) -> None:
    sent = await asyncio.to_thread(
        lambda: client.send_json(
            COMMANDS, ORDER, type_name="orders.CreateOrder", key="o-1", correlation_id="my-request"
        )
    )
    await settled(client, sent)
    await orders.service.stop()

    assert sent.trace_id is not None
    (root,) = span_tree(spans.trace(sent.trace_id))
    assert shape(root) == {
        "send orders.commands": [
            {
                "process orders.commands": [
                    {
                        "command orders.CreateOrder": [
                            "handle CreateOrderHandler",
                            {"send orders.events": ["process orders.events"]},
                        ]
                    }
                ]
            }
        ]
    }
    for node in every(root):
        assert node.span.attributes["correlation_id"] == "my-request", node.span.name
        assert node.span.status != "error", node.span.name


@pytest.mark.asyncio
async def test_a_refusal_is_in_the_trace_with_its_dead_letter(
    client: OutsideClient, orders: Deployed, spans: SpanMemory
) -> None:
    sent = await asyncio.to_thread(
        lambda: client.send_json(COMMANDS, {**ORDER, "items": []}, type_name="orders.CreateOrder", key="o-1")
    )
    await settled(client, sent)
    await orders.service.stop()

    (root,) = span_tree(spans.trace(sent.trace_id or ""))
    assert shape(root) == {
        "send orders.commands": [
            {"process orders.commands": ["command orders.CreateOrder", "send orders.commands-dlt"]}
        ]
    }
    process = root.children[0].span
    assert process.status == "error"
    assert process.attributes["cqrs.outcome"] == "dead_lettered"
