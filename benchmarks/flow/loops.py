"""The contestants written by hand: a loop over the client library, without anything that is ours."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from benchmarks.flow.job import EVENT, EVENTS, Clock, Headers, Turn, schema

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
async def _clients(turn: Turn) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]:
    consumer = AIOKafkaConsumer(
        turn.commands,
        bootstrap_servers=turn.bootstrap,
        group_id=turn.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=turn.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    await consumer.start()
    try:
        yield consumer, producer
    finally:
        await consumer.stop()
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
            await consumer.commit()
            clock.count(len(batch))


async def _batch(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS)
    return [record for records in found.values() for record in records]


CONTESTANTS: dict[str, Callable[[Turn, Clock], object]] = {"plain": plain}
"""By name, what takes a turn."""
