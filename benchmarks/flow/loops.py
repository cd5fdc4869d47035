"""The contestants written by hand: a loop over the client library, without anything that is ours."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import cache, partial

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from benchmarks.flow.exporting import CountingExporter
from benchmarks.flow.job import EVENT, EVENTS, PARTITIONS, Clock, Headers, TakesTurn, Turn, schema

_PARTITIONS = list(range(PARTITIONS))
_PROPAGATOR = TraceContextTextMapPropagator()
_SCHEMA = fastavro.parse_schema(schema(EVENT))
_FRAMING = b"\0\0\0\0\x01"
_IDS = uuid.UUID("5f1b8a0e-3c64-5d0a-9d5e-8f0f7a3f4c11")
_RECORDS = 500
_POLL_MS = 200

Order = Mapping[str, object]


class RefusedException(Exception):
    """Report a command that does not pass."""


def read(value: bytes) -> Order:
    """Decode, validate and authorize a command.

    Raises:
        RefusedException: it does not pass.
    """
    order: dict[str, object] = json.loads(value)
    amount = order["amount"]
    if not order["order_id"] or not order["customer"] or not isinstance(amount, int) or amount < 0:
        raise RefusedException("an order or a customer is missing, or the amount is below 0")
    if not str(order["customer"]).startswith("customer-"):
        raise RefusedException("the sender is no customer")
    return order


def encode(order: Order) -> bytes:
    """Return the event, in Avro with Confluent's framing."""
    out = io.BytesIO()
    out.write(_FRAMING)
    fastavro.schemaless_writer(out, _SCHEMA, order)
    return out.getvalue()


def event_headers(key: bytes, headers: Mapping[str, bytes], traceparent: bytes) -> Headers:
    """Return the headers of the event that a command leads to."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid5(_IDS, headers["ce_id"].decode())).encode()),
        ("ce_source", b"/flow"),
        ("ce_type", EVENT.encode()),
        ("ce_time", datetime.now(UTC).isoformat(timespec="milliseconds").encode()),
        ("ce_subject", key),
        ("ce_partitionkey", key),
        ("ce_correlationid", headers["ce_correlationid"]),
        ("ce_causationid", headers["ce_id"]),
        ("ce_dataschema", b"flow.events-flow.Placed"),
        ("content-type", b"application/avro"),
        ("traceparent", traceparent),
    ]


@asynccontextmanager
async def _consumer(turn: Turn) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        turn.commands,
        bootstrap_servers=turn.bootstrap,
        group_id=turn.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def _clients(turn: Turn) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]:
    producer = AIOKafkaProducer(bootstrap_servers=turn.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        async with _consumer(turn) as consumer:
            yield consumer, producer
    finally:
        await producer.stop()


async def plain(turn: Turn, clock: Clock) -> None:
    """Take batches by `getmany`, send each event by `send`, await all, commit."""
    async with _clients(turn) as (consumer, producer):
        while not clock.finished.is_set():
            batch = await _batch(consumer)
            sent = []
            for record in batch:
                headers = dict(record.headers)
                made = event_headers(record.key, headers, headers["traceparent"])
                value = encode(read(record.value))
                sent.append(await producer.send(EVENTS, value, key=record.key, headers=made))
            await asyncio.gather(*sent)
            await _committed(consumer, clock, batch)


async def with_builders(turn: Turn, clock: Clock) -> None:
    """Do the same with a batch builder for each partition: the client's fastest way to send."""
    partition_of = cache(partial(DefaultPartitioner(), all_partitions=_PARTITIONS, available=_PARTITIONS))
    async with _clients(turn) as (consumer, producer):
        while not clock.finished.is_set():
            batch, sent = await _batch(consumer), []
            builders: dict[int, BatchBuilder] = {}
            for record in batch:
                headers = dict(record.headers)
                made = event_headers(record.key, headers, headers["traceparent"])
                value = encode(read(record.value))
                partition = partition_of(record.key)
                builder = builders.get(partition) or producer.create_batch()
                if builder.append(timestamp=None, key=record.key, value=value, headers=made) is None:
                    sent.append(await producer.send_batch(builder, EVENTS, partition=partition))
                    builder = producer.create_batch()
                    builder.append(timestamp=None, key=record.key, value=value, headers=made)
                builders[partition] = builder
            sent += [await producer.send_batch(each, EVENTS, partition=number) for number, each in builders.items()]
            await asyncio.gather(*sent)
            await _committed(consumer, clock, batch)


async def with_spans(turn: Turn, clock: Clock) -> None:
    """Do the same as `plain` with two spans a message, as the SDK is documented: extract, inject, attributes."""
    with _tracer() as tracer:
        async with _clients(turn) as (consumer, producer):
            while not clock.finished.is_set():
                batch = await _batch(consumer)
                sent = [await _traced(tracer, producer, record) for record in batch]
                await asyncio.gather(*sent)
                await _committed(consumer, clock, batch)


async def _traced(tracer: trace.Tracer, producer: AIOKafkaProducer, record: ConsumerRecord) -> asyncio.Future[object]:
    headers: dict[str, bytes] = dict(record.headers)
    parent = _PROPAGATOR.extract({"traceparent": headers["traceparent"].decode()})
    correlation = headers["ce_correlationid"].decode()
    received = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.message.id": headers["ce_id"].decode(),
        "messaging.message.conversation_id": correlation,
    }
    with tracer.start_as_current_span(f"process {record.topic}", parent, trace.SpanKind.CONSUMER, attributes=received):
        value = encode(read(record.value))
        sending = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.destination.name": EVENTS,
            "messaging.message.conversation_id": correlation,
        }
        with tracer.start_as_current_span(f"send {EVENTS}", kind=trace.SpanKind.PRODUCER, attributes=sending):
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier)
            made = event_headers(record.key, headers, carrier["traceparent"].encode())
            future: asyncio.Future[object] = await producer.send(EVENTS, value, key=record.key, headers=made)
            return future


async def decoding(turn: Turn, clock: Clock) -> None:
    """Decode each command and commit; nothing else."""
    async with _consumer(turn) as consumer:
        while not clock.finished.is_set():
            batch = await _batch(consumer)
            for record in batch:
                json.loads(record.value)
            await _committed(consumer, clock, batch)


async def one_at_a_time(turn: Turn, clock: Clock, pause_seconds: float) -> None:
    """Decode each command and wait, one behind the other, and commit."""
    async with _consumer(turn) as consumer:
        while not clock.finished.is_set():
            batch = await _batch(consumer)
            for record in batch:
                json.loads(record.value)
                await asyncio.sleep(pause_seconds)
                clock.count()
            await consumer.commit()


@contextmanager
def _tracer() -> Iterator[trace.Tracer]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(CountingExporter()))
    try:
        yield provider.get_tracer("loop")
    finally:
        provider.shutdown()


async def _batch(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS)
    return [record for records in found.values() for record in records]


async def _committed(consumer: AIOKafkaConsumer, clock: Clock, batch: Sequence[ConsumerRecord]) -> None:
    if batch:
        await consumer.commit()
        clock.count(len(batch))


CONTESTANTS: dict[str, TakesTurn] = {
    "plain": plain,
    "builders": with_builders,
    "spans": with_spans,
    "decoding": decoding,
    "wait 1 ms": partial(one_at_a_time, pause_seconds=0.001),
    "wait 10 ms": partial(one_at_a_time, pause_seconds=0.01),
}
"""By name, what takes a turn."""
