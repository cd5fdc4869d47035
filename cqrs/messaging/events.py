"""Events on their way out: the publisher that a command bus is given."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cqrs.event.origin import EventOrigin
from cqrs.exceptions import UnpublishableEventException
from cqrs.messaging import envelope
from cqrs.messaging.delivery import current_delivery
from cqrs.messaging.message import Headers, OutgoingMessage
from cqrs.messaging.ports import EncodedEvent, EventEncoder, Producer
from cqrs.tracing.correlation import CorrelationContext

EVENT_IDS = uuid.UUID("0b7c5f0e-6d1f-5c0b-8f58-2f2e0a1f7a4d")
"""The namespace of event ids."""


def event_id(origin: EventOrigin) -> str:
    """Return the id of an event: a uuid5 of its command and place, so that a command run again repeats it."""
    return str(uuid.uuid5(EVENT_IDS, f"{origin.command_id}:{origin.index}"))


class MessageEventPublisher:
    """Publish events as messages in CloudEvents envelopes.

    Args:
        producer: Where they go; each acknowledgement is awaited.
        encoders: An encoder for each message format ("json", "avro").
        source: The `ce_source` of every event: a URI reference that names this service.
        default_destination: The topic of events that name none.
        now: The clock, in UTC.
    """

    def __init__(
        self,
        producer: Producer,
        encoders: Mapping[str, EventEncoder],
        *,
        source: str,
        default_destination: str = "cqrs.events",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._producer = producer
        self._encoders = encoders
        self._source = source
        self._default_destination = default_destination
        self._now = now

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
        encoded = await self._encoder(message_format).encode(event, topic)
        partition_key = _key(event, key)
        await self._producer.send(
            OutgoingMessage(topic, partition_key, encoded.value, self._headers(encoded, partition_key, origin))
        )

    def _encoder(self, message_format: str) -> EventEncoder:
        encoder = self._encoders.get(message_format)
        if encoder is None:
            raise UnpublishableEventException(
                f"message_format {message_format!r} has no encoder; use one of {', '.join(sorted(self._encoders))}"
            )
        return encoder

    def _headers(self, encoded: EncodedEvent, key: bytes | None, origin: EventOrigin | None) -> Headers:
        subject = None if key is None else key.decode(errors="replace")
        own_id = event_id(origin) if origin is not None else str(uuid.uuid4())
        correlation_id = origin.correlation_id if origin is not None else CorrelationContext.get_correlation_id()
        return envelope.write_headers(
            {
                envelope.SPEC_VERSION: "1.0",
                envelope.ID: own_id,
                envelope.SOURCE: self._source,
                envelope.TYPE: encoded.type_name,
                envelope.TIME: self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                envelope.SUBJECT: subject,
                envelope.PARTITION_KEY: subject,
                envelope.CORRELATION_ID: correlation_id or own_id,
                envelope.CAUSATION_ID: origin.command_id if origin is not None else None,
                envelope.DATA_SCHEMA: encoded.data_schema,
                envelope.CONTENT_TYPE: encoded.content_type,
            }
        )


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
