"""The contestant written by hand on confluent-kafka: librdkafka sends and fetches in threads of its own."""

from typing import cast

from confluent_kafka import Consumer, Message, Producer

from benchmarks.flow.job import EVENTS, Clock, TakesTurn, Turn
from benchmarks.flow.loops import encode, event_headers, read

_RECORDS = 500
_POLL_SECONDS = 0.2
_FLUSH_SECONDS = 30.0

LIBRARY = "confluent-kafka"


class NotAcknowledgedException(Exception):
    """Report events that the broker did not take."""


async def consume(turn: Turn, clock: Clock) -> None:
    """Take batches by `consume`, produce each event, flush, commit; the loop is alone, so it may block.

    Raises:
        NotAcknowledgedException: an event was refused, or not acknowledged in time.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": turn.bootstrap,
            "group.id": turn.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer({"bootstrap.servers": turn.bootstrap, "acks": "all", "enable.idempotence": True})
    refused: list[str] = []

    def told(error: object, _message: Message) -> None:
        if error is not None:
            refused.append(str(error))

    consumer.subscribe([turn.commands])
    while not clock.finished.is_set():
        batch = consumer.consume(_RECORDS, _POLL_SECONDS)
        for record in batch:
            headers = cast("dict[str, bytes]", dict(record.headers() or ()))
            key, value = record.key() or b"", record.value() or b""
            made = event_headers(key, headers, headers["traceparent"])
            producer.produce(EVENTS, encode(read(value)), key, headers=[*made], on_delivery=told)
        if batch:
            if producer.flush(_FLUSH_SECONDS) or refused:
                raise NotAcknowledgedException(f"not all events were acknowledged: {refused[:1]}")
            consumer.commit(asynchronous=False)
            clock.count(len(batch))
    consumer.close()


CONTESTANTS: dict[str, TakesTurn] = {"loop": consume}
"""By name, what takes a turn."""
