"""FastStream on aiokafka: per message with a manual acknowledgement, and in batches; with and without its tracing.

Logging is off. Its `publish_batch` gives all messages the same headers, so a batch sends each event by `publish`, and
awaits the acknowledgements together.
"""

import asyncio
import io
import uuid
from datetime import UTC, datetime
from functools import partial

import fastavro
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel, Field

from benchmarks.flow.exporting import CountingExporter
from benchmarks.flow.job import EVENT, EVENTS, schema

LIBRARY = "faststream"

_SCHEMA = fastavro.parse_schema(schema(EVENT))
_IDS = uuid.UUID("5f1b8a0e-3c64-5d0a-9d5e-8f0f7a3f4c11")


class Order(BaseModel):
    """Be the command; what it asks for is what makes it valid."""

    order_id: str = Field(min_length=1)
    customer: str = Field(min_length=1)
    amount: int = Field(ge=0)


def _authorize(order):
    if not order.customer.startswith("customer-"):
        raise PermissionError("the sender is no customer")


def _value(order):
    out = io.BytesIO()
    out.write(b"\0\0\0\0\x01")
    fastavro.schemaless_writer(
        out, _SCHEMA, {"order_id": order.order_id, "customer": order.customer, "amount": order.amount}
    )
    return out.getvalue()


def _headers(record, traced):
    given = dict(record.headers)
    key = record.key.decode()
    made = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid5(_IDS, given["ce_id"].decode())),
        "ce_source": "/flow",
        "ce_type": EVENT,
        "ce_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "ce_subject": key,
        "ce_partitionkey": key,
        "ce_correlationid": given["ce_correlationid"].decode(),
        "ce_causationid": given["ce_id"].decode(),
        "ce_dataschema": "flow.events-flow.Placed",
        "content-type": "application/avro",
    }
    return made if traced else {**made, "traceparent": given["traceparent"].decode()}


def _broker(turn, provider):
    middlewares = [KafkaTelemetryMiddleware(tracer_provider=provider)] if provider else []
    return KafkaBroker(turn.bootstrap, acks="all", enable_idempotence=True, logger=None, middlewares=middlewares)


def _publish(broker, order, record, traced, no_confirm=False):
    headers = _headers(record, traced)
    return broker.publish(
        _value(order),
        EVENTS,
        key=record.key,
        headers=headers,
        correlation_id=headers["ce_correlationid"],
        no_confirm=no_confirm,
    )


def _per_message(broker, turn, clock, traced):
    @broker.subscriber(turn.commands, group_id=turn.group, auto_offset_reset="earliest", ack_policy=AckPolicy.MANUAL)
    async def place(order: Order, message: KafkaMessage):
        _authorize(order)
        await _publish(broker, order, message.raw_message, traced)
        await message.ack()
        clock.count()


def _in_batches(broker, turn, clock, traced):
    @broker.subscriber(
        turn.commands,
        group_id=turn.group,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        batch=True,
        max_records=500,
    )
    async def place(orders: list[Order], message: KafkaMessage):
        sent = []
        for order, record in zip(orders, message.raw_message, strict=True):
            _authorize(order)
            sent.append(await _publish(broker, order, record, traced, no_confirm=True))
        await asyncio.gather(*sent)
        await message.ack()
        clock.count(len(orders))


async def _serve(turn, clock, subscribe, traced):
    provider = None
    if traced:
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(CountingExporter()))
    broker = _broker(turn, provider)
    subscribe(broker, turn, clock, traced)
    await broker.start()
    try:
        await clock.finished.wait()
    finally:
        await broker.stop()
        if provider:
            provider.shutdown()


CONTESTANTS = {
    "per message": partial(_serve, subscribe=_per_message, traced=False),
    "per message, traced": partial(_serve, subscribe=_per_message, traced=True),
    "batch": partial(_serve, subscribe=_in_batches, traced=False),
    "batch, traced": partial(_serve, subscribe=_in_batches, traced=True),
}
