"""What is sent to the order service, and what it answered, as records."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

from fastavro import parse_schema, schemaless_reader

from cqrs.messaging import envelope
from cqrs.messaging.dead_letter_headers import EXCEPTION_CAUSE_FQCN, EXCEPTION_FQCN
from cqrs.messaging.message import Message
from tests.chaos.logs import Headers
from tests.chaos.orders.judge import Published, Refused
from tests.chaos.orders.model import Command, Event, Line

SCHEMAS = Path(__file__).parents[3] / "schemas" / "events"
_FRAME_BYTES = 5

Record = tuple[bytes, bytes, Headers]
"""Key, value, headers."""


def record_of(command: Command) -> Record:
    """Return a command as it is sent: JSON, with an id of its own."""
    headers: Headers = [
        (envelope.ID, command.id.encode()),
        (envelope.TYPE, command.kind.encode()),
        (envelope.CONTENT_TYPE, b"application/json"),
    ]
    return command.order.encode(), json.dumps(command.data()).encode(), headers


def published(message: Message) -> Published:
    """Read an event."""
    headers = _texts(message)
    value = _values(headers[envelope.TYPE], message.value or b"")
    lines = value.get("items") or ([value["item"]] if "item" in value else [])
    total, reason = value.get("total"), value.get("reason")
    event = Event(
        headers[envelope.TYPE],
        int(str(value["version"])),
        total if isinstance(total, Decimal) else None,
        tuple(_line(each) for each in lines),  # type: ignore[attr-defined]
        None if reason is None else str(reason),
    )
    return Published(headers[envelope.CAUSATION_ID], headers[envelope.ID], event, message.place)


def refused(message: Message) -> Refused:
    """Read a dead letter."""
    headers = _texts(message)
    classes = (headers.get(EXCEPTION_FQCN, ""), headers.get(EXCEPTION_CAUSE_FQCN, ""))
    why = tuple(dict.fromkeys(name.rpartition(".")[2] for name in classes if name))
    return Refused(headers[envelope.ID], why, message.place)


def own(messages: Iterable[Message], prefix: str) -> Sequence[Message]:
    """Return the records whose keys begin with `prefix`."""
    return [each for each in messages if (each.key or b"").startswith(f"{prefix}-".encode())]


def _texts(message: Message) -> Mapping[str, str]:
    return {name: value.decode(errors="replace") for name, value in message.headers if value is not None}


def _values(kind: str, value: bytes) -> dict[str, object]:
    found = schemaless_reader(io.BytesIO(value[_FRAME_BYTES:]), _schema(kind), None)
    return found if isinstance(found, dict) else {}


@cache
def _schema(kind: str) -> str | list[object] | dict[str, object]:
    schema: str | list[object] | dict[str, object] = parse_schema(
        json.loads((SCHEMAS / f"{kind}.avsc").read_text("utf-8"))
    )
    return schema


def _line(item: Mapping[str, object]) -> Line:
    return Line(str(item["sku"]), int(str(item["quantity"])), Decimal(str(item["unit_price"])))
