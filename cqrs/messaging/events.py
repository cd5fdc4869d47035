"""Events on their way out: the publisher that a command bus is given."""

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cqrs.event.origin import EventOrigin
from cqrs.exceptions import UnpublishableEventException
from cqrs.messaging import envelope
from cqrs.messaging.delivery import current_delivery
from cqrs.messaging.message import Headers, OutgoingMessage
from cqrs.messaging.name_based_ids import name_based_id
from cqrs.messaging.ports import EncodedEvent, EventEncoder, Producer
from cqrs.tracing.correlation import CorrelationContext

EVENT_IDS = uuid.UUID("0b7c5f0e-6d1f-5c0b-8f58-2f2e0a1f7a4d").bytes
"""The namespace of event ids: the bytes of its UUID."""


def event_id(origin: EventOrigin) -> str:
    """Return the id of an event: a uuid5 of its command and place, so that a command run again repeats it."""
    return name_based_id(EVENT_IDS, f"{origin.command_id}:{origin.index}")


Header = tuple[str, bytes]
"""One record header."""

_SPEC_VERSION: Header = (envelope.SPEC_VERSION, b"1.0")


class MessageEventPublisher:
    """Publish events as messages in CloudEvents envelopes.

    Args:
        producer: Where they go; each acknowledgement is awaited.
        encoders: An encoder for each message format ("json", "avro").
        source: The `ce_source` of every event: a URI reference that names this service.
        default_destination: The topic of events that name none.
        now: The clock: seconds since the epoch.
    """

    def __init__(
        self,
        producer: Producer,
        encoders: Mapping[str, EventEncoder],
        *,
        source: str,
        default_destination: str = "cqrs.events",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._producer = producer
        self._encoders = encoders
        self._source = (envelope.SOURCE, source.encode())
        self._known: dict[tuple[str, str | None, str], tuple[Header, Header | None, Header]] = {}
        self._default_destination = default_destination
        self._now = now
        self._told_ms = -1
        self._told: Header = (envelope.TIME, b"")

    async def publish(
        self,
        event: object,
        *,
        destination: str | None = None,
        message_format: str = "json",
        key: str | None = None,
        origin: EventOrigin | None = None,
    ) -> None:
        """Encode `event`, send it and return once the broker has acknowledged it.

        Args:
            event: The event.
            destination: The topic; None takes the default.
            message_format: Which encoder writes it.
            key: The event's field that is the partition key; None takes the key of the command's own message, so that
                the events of one aggregate stay in order.
            origin: Which command caused it; None makes an event on its own, with a new id.

        Raises:
            UnpublishableEventException: it cannot be written or is refused by the broker.
            DependencyUnavailableException: no acknowledgement came.
        """
        topic = destination or self._default_destination
        encoder = self._encoders.get(message_format)
        if encoder is None:
            raise self._no_encoder(message_format)
        encoded = await encoder.encode(event, topic)
        partition_key = _key(event, key)
        headers = self._headers(encoded, partition_key, origin)
        await self._producer.send(OutgoingMessage(topic, partition_key, encoded.value, headers, is_untraced=True))

    def _no_encoder(self, message_format: str) -> UnpublishableEventException:
        return UnpublishableEventException(
            f"message_format {message_format!r} has no encoder; use one of {', '.join(sorted(self._encoders))}"
        )

    def _headers(self, encoded: EncodedEvent, key: bytes | None, origin: EventOrigin | None) -> Headers:
        if origin is not None:
            own_id, correlation_id = event_id(origin), origin.correlation_id
        else:
            own_id, correlation_id = str(uuid.uuid4()), CorrelationContext.get_correlation_id() or ""
        type_name, data_schema, content_type = self._described(encoded)
        own_id_bytes = own_id.encode()
        headers = [_SPEC_VERSION, (envelope.ID, own_id_bytes), self._source, type_name, self._time()]
        if key is not None:
            subject = _text_of(key)
            headers += ((envelope.SUBJECT, subject), (envelope.PARTITION_KEY, subject))
        headers.append((envelope.CORRELATION_ID, correlation_id.encode() if correlation_id else own_id_bytes))
        if origin is not None:
            headers.append((envelope.CAUSATION_ID, origin.command_id.encode()))
        if data_schema is not None:
            headers.append(data_schema)
        headers.append(content_type)
        return tuple(headers)

    def _time(self) -> Header:
        """Return the header of the present millisecond; a busy service publishes many events in each."""
        now_ms = int(self._now() * 1000)
        if now_ms != self._told_ms:
            text = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
            self._told_ms, self._told = now_ms, (envelope.TIME, text.replace("+00:00", "Z").encode())
        return self._told

    def _described(self, encoded: EncodedEvent) -> tuple[Header, Header | None, Header]:
        """Return the headers that are the same for every event of a type: made once."""
        told = (encoded.type_name, encoded.data_schema, encoded.content_type)
        known = self._known.get(told)
        if known is None:
            schema = None if told[1] is None else (envelope.DATA_SCHEMA, told[1].encode())
            known = ((envelope.TYPE, told[0].encode()), schema, (envelope.CONTENT_TYPE, told[2].encode()))
            self._known[told] = known
        return known


def _text_of(key: bytes) -> bytes:
    """Return `key` as a header that says text may hold it."""
    return key if key.isascii() else key.decode(errors="replace").encode()


def _key(event: object, field: str | None) -> bytes | None:
    if field is None:
        delivery = current_delivery.get()
        return delivery.message.key if delivery is not None else None
    value: object = getattr(event, field, None)
    if value is None or value == "":
        raise UnpublishableEventException(
            f"{type(event).__qualname__} has no value in {field!r}, its partition key; "
            f"set it, or name another field in @publish_domain_event(key=...)"
        )
    return str(value).encode()
