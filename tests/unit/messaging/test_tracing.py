"""Every record read is a `process` span, every record written a `send` span that ends with its acknowledgement."""

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.delivery import HANDLED, Delivery, DeliveryHandler, Outcome
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message, OutgoingMessage
from cqrs.messaging.tracing import TracedProducer, trace
from cqrs.testing.memory import MemoryBroker, MemoryProducer
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import SpanKind


def delivery(key: bytes | None = b"o-1", value: bytes | None = b"{}") -> Delivery:
    headers = (("ce_id", b"m-1"), ("ce_correlationid", b"c-1"), ("traceparent", b"00-abc"))
    message = Message("orders.commands", 1, 7, key, value, headers)
    return Delivery(message, read_envelope(message))


def traced(tracer: RecordingTracer, handler: DeliveryHandler) -> DeliveryHandler:
    return trace(tracer, "orders")(handler)


@pytest.mark.asyncio
async def test_the_process_span_is_open_while_the_work_runs_and_named_by_the_conventions() -> None:
    tracer = RecordingTracer()
    seen: list[str | None] = []

    async def handler(_: Delivery) -> Outcome:
        assert not tracer.spans[0].ended
        seen.append(CorrelationContext.get_correlation_id())
        return HANDLED

    given = delivery()
    await traced(tracer, handler)(given)

    (span,) = tracer.spans
    assert (span.name, span.kind, span.ended) == ("process orders.commands", SpanKind.CONSUMER, True)
    assert span.parent_headers == (("traceparent", b"00-abc"),)
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "orders.commands",
        "messaging.destination.partition.id": "1",
        "messaging.kafka.offset": 7,
        "messaging.consumer.group.name": "orders",
        "messaging.message.id": "m-1",
        "messaging.message.conversation_id": "c-1",
        "messaging.message.body.size": 2,
        "messaging.kafka.message.key": "o-1",
        "cqrs.outcome": "handled",
    }
    assert seen == ["c-1"]
    assert CorrelationContext.get_correlation_id() is None


@pytest.mark.asyncio
async def test_a_dead_letter_fails_the_span_although_the_delivery_is_settled() -> None:
    tracer = RecordingTracer()
    error = ValueError("bad")

    async def handler(_: Delivery) -> Outcome:
        return Outcome("dead_lettered", "orders.commands-dlt", error)

    await traced(tracer, handler)(delivery())

    assert tracer.spans[0].attributes["cqrs.outcome"] == "dead_lettered"
    assert tracer.spans[0].errors == [error]


@pytest.mark.asyncio
async def test_a_tombstone_and_a_binary_key_are_told_without_their_bytes() -> None:
    tracer = RecordingTracer()

    async def handler(_: Delivery) -> Outcome:
        return HANDLED

    await traced(tracer, handler)(delivery(key=b"\xff", value=None))

    attributes = tracer.spans[0].attributes
    assert attributes["messaging.kafka.message.tombstone"] is True
    assert "messaging.kafka.message.key" not in attributes
    assert "messaging.message.body.size" not in attributes


@pytest.mark.asyncio
async def test_the_send_span_holds_where_the_message_was_stored() -> None:
    tracer = RecordingTracer()
    broker = MemoryBroker({"orders.events": 1})
    headers = (("ce_id", b"e-1"), ("ce_correlationid", b"c-1"))

    await TracedProducer(MemoryProducer(broker), tracer).send(OutgoingMessage("orders.events", b"o-1", b"{}", headers))

    (span,) = tracer.spans
    assert (span.name, span.kind) == ("send orders.events", SpanKind.PRODUCER)
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "orders.events",
        "messaging.message.id": "e-1",
        "messaging.message.conversation_id": "c-1",
        "messaging.message.body.size": 2,
        "messaging.kafka.message.key": "o-1",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
    }


@pytest.mark.asyncio
async def test_trace_headers_are_replaced_and_never_appended() -> None:
    tracer = RecordingTracer()
    broker = MemoryBroker({"t": 1})
    stale = (("TraceParent", b"old"), ("tracestate", b"old"), ("baggage", b"old"), ("mine", b"kept"))

    await TracedProducer(MemoryProducer(broker), tracer).send(OutgoingMessage("t", None, b"", stale))

    (stored,) = broker.messages("t")
    assert [name for name, _ in stored.headers] == ["mine", "traceparent"]
    assert tracer.spans[0].span_id.encode() in (stored.headers[1][1] or b"")


@pytest.mark.asyncio
async def test_a_failed_send_fails_its_span() -> None:
    tracer = RecordingTracer()
    producer = MemoryProducer(MemoryBroker({"t": 1}))
    producer.failures.append(DependencyUnavailableException("kafka", "away"))

    with pytest.raises(DependencyUnavailableException):
        await TracedProducer(producer, tracer).send(OutgoingMessage("t", None, b""))

    assert len(tracer.spans[0].errors) == 1


@pytest.mark.asyncio
async def test_a_redriven_record_links_to_the_trace_in_which_it_failed() -> None:
    tracer = RecordingTracer()
    given = delivery()
    redriven = given.message._replace(headers=(*given.message.headers, ("cqrs-redrive-traceparent", b"00-old")))

    async def handler(_: Delivery) -> Outcome:
        return HANDLED

    await traced(tracer, handler)(given)
    await traced(tracer, handler)(Delivery(redriven, read_envelope(redriven)))

    assert [span.link for span in tracer.spans] == [None, (("traceparent", b"00-old"),)]
    assert tracer.spans[1].parent_headers == (
        ("traceparent", b"00-abc"),
        ("cqrs-redrive-traceparent", b"00-old"),
    )
