"""The spans of the wire: `process` around what is read, `send` around what is written.

Names and attributes follow OpenTelemetry's messaging conventions for Kafka.
"""

from collections.abc import Mapping

from cqrs.messaging.dead_letter_headers import REDRIVE_TRACEPARENT
from cqrs.messaging.delivery import Delivery, DeliveryHandler, Middleware, Outcome
from cqrs.messaging.envelope import CORRELATION_ID, ID, TRACE_HEADERS
from cqrs.messaging.message import Headers, OutgoingMessage, Receipt
from cqrs.messaging.ports import Producer
from cqrs.tracing import attributes
from cqrs.tracing.correlation import CorrelationContext
from cqrs.tracing.tracer import AttributeValue, NoTracer, SpanKind, Tracer


def trace(tracer: Tracer, group_id: str) -> Middleware:
    """Open the `process` span of every delivery as a child of the sender's span, under its correlation id.

    A redriven record's sender is the redrive; the trace in which it failed is linked. A tracer that makes no spans is
    asked for none, only to pass on the sender's.
    """
    return _pass_on(tracer) if isinstance(tracer, NoTracer) else _open_span(tracer, group_id)


def _pass_on(tracer: NoTracer) -> Middleware:
    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def passed_on(delivery: Delivery) -> Outcome:
            envelope = delivery.envelope
            scope = CorrelationContext.scope(correlation_id=envelope.correlation_id)
            with scope, tracer.span("", parent=envelope.carried):
                return await handler(delivery)

        return passed_on

    return wrap


def _open_span(tracer: Tracer, group_id: str) -> Middleware:
    def wrap(handler: DeliveryHandler) -> DeliveryHandler:
        async def traced(delivery: Delivery) -> Outcome:
            envelope = delivery.envelope
            carried = envelope.carried
            with (
                CorrelationContext.scope(correlation_id=envelope.correlation_id),
                tracer.span(
                    f"process {delivery.message.topic}",
                    kind=SpanKind.CONSUMER,
                    attributes=lambda: _process_attributes(delivery, group_id),
                    parent=carried,
                    link=failed_trace(carried),
                ) as span,
            ):
                outcome = await handler(delivery)
                span.set(attributes.OUTCOME, outcome.name)
                if outcome.error is not None and outcome.name != "skipped":
                    span.fail(outcome.error)
                return outcome

        return traced

    return wrap


class TracedProducer:
    """Send through another producer, each message in its own `send` span that ends with the acknowledgement."""

    def __init__(self, producer: Producer, tracer: Tracer) -> None:
        self._producer = producer
        self._tracer = tracer
        self._passes_on = isinstance(tracer, NoTracer)

    async def send(self, message: OutgoingMessage) -> Receipt:
        """Send `message` with the span's W3C headers in place of any that it carried; see `Producer.send`."""
        if self._passes_on:
            return await self._producer.send(_with_trace(message, self._tracer.inject()))
        return await send_traced(self._producer, self._tracer, message)


async def send_traced(
    producer: Producer, tracer: Tracer, message: OutgoingMessage, parent: Headers | None = None
) -> Receipt:
    """Send `message` in a `send` span, with its W3C headers in place of any that it carried; see `Producer.send`.

    Args:
        producer: Where to.
        tracer: Opens the span.
        message: What is sent; a redriven one links to the trace in which it failed.
        parent: Headers with the trace context that is the span's parent; None takes the current span.
    """
    if parent is None and isinstance(tracer, NoTracer):
        return await producer.send(_with_trace(message, tracer.inject()))
    with tracer.span(
        f"send {message.topic}",
        kind=SpanKind.PRODUCER,
        attributes=lambda: _send_attributes(message),
        parent=parent,
        link=None if message.is_untraced else failed_trace(message.headers),
    ) as span:
        receipt = await producer.send(_with_trace(message, tracer.inject()))
        span.set(attributes.MESSAGING_DESTINATION_PARTITION_ID, str(receipt.partition))
        span.set(attributes.MESSAGING_KAFKA_OFFSET, receipt.offset)
        return receipt


def failed_trace(headers: Headers) -> Headers | None:
    """Return the trace context in which a redriven record had failed, as headers; None for any other record."""
    for name, value in headers:
        if name == REDRIVE_TRACEPARENT and value is not None:
            return (("traceparent", value),)
    return None


def _with_trace(message: OutgoingMessage, trace_headers: Headers) -> OutgoingMessage:
    kept = message.headers
    if not message.is_untraced:
        kept = tuple(header for header in kept if header[0].lower() not in TRACE_HEADERS)
    return OutgoingMessage(message.topic, message.key, message.value, (*kept, *trace_headers), message.partition)


def _process_attributes(delivery: Delivery, group_id: str) -> Mapping[str, AttributeValue]:
    message, envelope = delivery.message, delivery.envelope
    found: dict[str, AttributeValue] = {
        **_PROCESS,
        attributes.MESSAGING_DESTINATION_NAME: message.topic,
        attributes.MESSAGING_DESTINATION_PARTITION_ID: str(message.partition),
        attributes.MESSAGING_KAFKA_OFFSET: message.offset,
        attributes.MESSAGING_CONSUMER_GROUP_NAME: group_id,
        attributes.MESSAGING_MESSAGE_ID: envelope.id,
        attributes.MESSAGING_MESSAGE_CONVERSATION_ID: envelope.correlation_id,
    }
    _add_body(found, message.key, message.value)
    return found


def _send_attributes(message: OutgoingMessage) -> Mapping[str, AttributeValue]:
    found: dict[str, AttributeValue] = {**_SEND, attributes.MESSAGING_DESTINATION_NAME: message.topic}
    said = dict(message.headers)
    for name, attribute in _NAMED:
        if value := said.get(name):
            found[attribute] = value.decode(errors="replace")
    _add_body(found, message.key, message.value)
    return found


def _of_operation(operation: str) -> Mapping[str, AttributeValue]:
    return {
        attributes.MESSAGING_SYSTEM: attributes.KAFKA,
        attributes.MESSAGING_OPERATION_TYPE: operation,
        attributes.MESSAGING_OPERATION_NAME: operation,
    }


_PROCESS, _SEND = _of_operation(attributes.OPERATION_PROCESS), _of_operation(attributes.OPERATION_SEND)
_NAMED = (
    (ID, attributes.MESSAGING_MESSAGE_ID),
    (CORRELATION_ID, attributes.MESSAGING_MESSAGE_CONVERSATION_ID),
)


def _add_body(found: dict[str, AttributeValue], key: bytes | None, value: bytes | None) -> None:
    if value is None:
        found[attributes.MESSAGING_KAFKA_MESSAGE_TOMBSTONE] = True
    else:
        found[attributes.MESSAGING_MESSAGE_BODY_SIZE] = len(value)
    if key is not None and (text := _utf8(key)) is not None:
        found[attributes.MESSAGING_KAFKA_MESSAGE_KEY] = text


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
