"""The one job of every contestant of the flow; standard library only, so that the interpreter of any peer can run it.

A command in JSON comes with the headers of our wire contract. It is validated (an order, a customer, no amount below
0), authorized (the customer's name begins with `customer-`) and handled; its event goes out in Avro with Confluent's
framing and our headers; the offset is committed behind the acknowledged event.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

EVENTS = "flow.events"
"""Where every contestant writes."""

PARTITIONS = 8
KEYS = 1_000
"""How many orders the commands speak of, in turns."""

COMMAND = "flow.Place"
EVENT = "flow.Placed"
ORDER_COMMAND = "orders.CreateOrder"

FIELDS = [
    {"name": "order_id", "type": "string"},
    {"name": "customer", "type": "string"},
    {"name": "amount", "type": "long"},
]

WARMING_SHARE = 0.1
"""Which part of a turn passes before the clock starts: connections, first fetches, first commits."""

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Record:
    """Be one command on its topic.

    Attributes:
        key: The order.
        content: What it says.
        headers: Those of the wire contract.
    """

    key: bytes
    content: dict[str, object]
    headers: Headers

    @property
    def value(self) -> bytes:
        """Return the content in JSON."""
        return json.dumps(self.content).encode()


@dataclass(frozen=True, slots=True)
class Turn:
    """Say what one turn of a contestant is about.

    Attributes:
        bootstrap: The broker, `host:port`.
        commands: The topic to read from its beginning.
        group: The consumer group; nobody was in it before.
        messages: How many commands are on the topic.
        folder: A folder that is the contestant's own.
        database: The URL of the database, or the empty string.
    """

    bootstrap: str
    commands: str
    group: str
    messages: int
    folder: str
    database: str = ""


def command(number: int, series: int, job: str = "event") -> Record:
    """Return command `number` of a topic.

    Args:
        number: Its place on the topic, from 0.
        series: What tells its ids from those of other topics.
        job: "order" makes it one for the order service, of an order of its own; else orders come in turns.
    """
    is_order = job == "order"
    order = f"order-{series}-{number}" if is_order else f"order-{number % KEYS}"
    trace_id = (series + 1) << 64 | (number + 1)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", command_id(number, series).encode()),
        ("ce_type", (ORDER_COMMAND if is_order else COMMAND).encode()),
        ("ce_source", b"/benchmarks"),
        ("ce_time", b"2026-01-01T00:00:00.000Z"),
        ("ce_correlationid", f"correlation-{series}-{number}".encode()),
        ("content-type", b"application/json"),
        ("traceparent", f"00-{trace_id:032x}-{number + 1:016x}-01".encode()),
    ]
    content = _order(order, number) if is_order else _place(order, number)
    return Record(order.encode(), content, headers)


def _place(order: str, number: int) -> dict[str, object]:
    return {"order_id": order, "customer": f"customer-{number % 97}", "amount": number}


def _order(order: str, number: int) -> dict[str, object]:
    item = {"sku": f"sku-{number % 50}", "quantity": 2, "unit_price": "9.99"}
    return {"order_id": order, "customer_id": f"customer-{number % 97}", "items": [item], "currency": "EUR"}


def command_id(number: int, series: int) -> str:
    """Return the id of command `number` of a topic."""
    return str(uuid.UUID(int=(series + 1) << 64 | number, version=4))


def schema(name: str) -> dict[str, object]:
    """Return the Avro schema of the command or of the event: they have the same fields."""
    namespace, _, short = name.rpartition(".")
    return {"type": "record", "namespace": namespace, "name": short, "fields": FIELDS}


class Clock:
    """Time one turn, from the end of its warming to its last message.

    Args:
        messages: How many messages the turn has.

    Attributes:
        finished: Set when all are counted.
    """

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._start_at = max(int(messages * WARMING_SHARE), 1)
        self._stamps: list[tuple[int, int, int]] = []
        self.counted = 0
        self.finished = asyncio.Event()

    def count(self, messages: int = 1) -> None:
        """Count messages that were handled; call it where a message, or a batch, is always equally far."""
        self.counted += messages
        if self.counted < self._start_at:
            return
        if not self._stamps or self.counted >= self._messages:
            self._stamps.append((self.counted, time.process_time_ns(), time.perf_counter_ns()))
        if self.counted >= self._messages:
            self.finished.set()

    @property
    def is_running(self) -> bool:
        """Say whether the first stamp is made and the last is not."""
        return bool(self._stamps) and self.counted < self._messages

    def measured(self) -> Sequence[int]:
        """Return messages, nanoseconds of CPU and nanoseconds of time between the first stamp and the last.

        Raises:
            RuntimeError: not all messages were counted, or all at once.
        """
        if self.counted < self._messages or len(self._stamps) < 2:
            raise RuntimeError(f"{self.counted} of {self._messages} messages were counted, {len(self._stamps)} stamps")
        first, last = self._stamps[0], self._stamps[-1]
        return [end - begin for begin, end in zip(first, last, strict=True)]


TakesTurn = Callable[[Turn, Clock], Awaitable[None]]
"""A contestant: it takes a turn, and tells the clock of each message."""


class Stage:
    """Hold what handlers that are made by a container must know of the turn that runs.

    Attributes:
        clock: The clock.
        pause_seconds: How long a handler waits.
    """

    clock: Clock
    pause_seconds: float = 0.0


STAGE = Stage()
