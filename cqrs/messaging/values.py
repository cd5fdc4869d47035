"""Which decoder reads a record's value, and what keeps it from being read at all."""

from collections.abc import Mapping

from cqrs.exceptions import InvalidMessageException, UndecodableMessageException
from cqrs.messaging.envelope import Envelope
from cqrs.messaging.message import Message
from cqrs.messaging.ports import Decoder, Payload

JSON = "application/json"
AVRO = "application/avro"
_SCHEMA_ID_HEADER = "__value_schema_id"
_CONFLUENT_MAGIC = 0


class Values:
    """Parse the values of records by their content types.

    Args:
        decoders: A decoder for each media type.
        max_bytes: The largest value that is decoded.
    """

    def __init__(self, decoders: Mapping[str, Decoder], *, max_bytes: int) -> None:
        self._decoders = decoders
        self._max_bytes = max_bytes

    def check(self, message: Message, envelope: Envelope) -> None:
        """Refuse a value that need not be looked into.

        Raises:
            InvalidMessageException: the headers contradict each other.
            UndecodableMessageException: the value is null or too large.
        """
        if envelope.conflict is not None:
            raise InvalidMessageException(envelope.conflict)
        if message.value is None:
            raise UndecodableMessageException("the value is null; a message needs one")
        if len(message.value) > self._max_bytes:
            raise UndecodableMessageException(
                f"the value has {len(message.value)} bytes, but MAX_MESSAGE_BYTES allows {self._max_bytes}"
            )

    async def parse(self, message: Message, envelope: Envelope, declared_type: str | None) -> Payload:
        """Parse a value that `check` let pass, by its content type or, when it has none, by its first byte.

        Raises:
            InvalidMessageException: there is no decoder for its content type.
            UndecodableMessageException: the bytes are not what they claim to be.
            DependencyUnavailableException: the writer's schema cannot be asked for just now.
        """
        content_type = envelope.content_type or _told_by_bytes(message)
        decoder = self._decoders.get(content_type)
        if decoder is None:
            raise InvalidMessageException(
                f"content-type {content_type!r} is not understood; send one of {', '.join(sorted(self._decoders))}"
            )
        return await decoder.parse(message, declared_type)


def _told_by_bytes(message: Message) -> str:
    """Return the media type of a value that declares none: Confluent's framing begins with a zero byte, JSON never."""
    framed = (message.value or b"")[:1] == bytes([_CONFLUENT_MAGIC])
    return AVRO if framed or any(name == _SCHEMA_ID_HEADER for name, _ in message.headers) else JSON
