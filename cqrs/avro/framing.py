"""Confluent's wire format: which schema a value was written with.

Source: Confluent's "Wire format" (magic byte 0, schema id as 4 bytes big-endian, body) and its header form, in which
the header `__value_schema_id` holds either the same 5 bytes or magic byte 1 and a 16-byte GUID, and the value is the
body alone.
"""

from dataclasses import dataclass
from uuid import UUID

from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message

SCHEMA_ID_HEADER = "__value_schema_id"
_ID_MAGIC = b"\x00"
_GUID_MAGIC = b"\x01"
_ID_LENGTH = 5
_GUID_LENGTH = 17


@dataclass(frozen=True, slots=True)
class Framed:
    """Hold a body and the id or GUID of the schema that it was written with.

    Attributes:
        schema: The id as an int, or the GUID as a string.
        body: The Avro bytes.
    """

    schema: int | str
    body: bytes


def frame(schema_id: int, body: bytes) -> bytes:
    """Put the id of its schema before a body."""
    return _ID_MAGIC + schema_id.to_bytes(4, "big") + body


def unframe(message: Message) -> Framed:
    """Tell the schema of a message's value; the header goes first, as in Confluent's own reader.

    Raises:
        UndecodableMessageException: neither the header nor the value names a schema.
    """
    value = message.value or b""
    for name, content in message.headers:
        if name == SCHEMA_ID_HEADER and content is not None:
            return Framed(_from_header(content), value)
    if value[:1] != _ID_MAGIC or len(value) < _ID_LENGTH:
        raise UndecodableMessageException(
            f"the Avro value ({len(value)} bytes) does not begin with a zero byte and a 4-byte schema id; "
            "write it with a serializer of the schema registry"
        )
    return Framed(int.from_bytes(value[1:_ID_LENGTH], "big"), value[_ID_LENGTH:])


def _from_header(content: bytes) -> int | str:
    if content[:1] == _ID_MAGIC and len(content) == _ID_LENGTH:
        return int.from_bytes(content[1:], "big")
    if content[:1] == _GUID_MAGIC and len(content) == _GUID_LENGTH:
        return str(UUID(bytes=content[1:]))
    raise UndecodableMessageException(
        f"the header {SCHEMA_ID_HEADER} holds {len(content)} bytes that are neither a schema id nor a GUID"
    )
