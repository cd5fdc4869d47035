"""Read an Avro value as its writer wrote it, into plain dicts and lists: for people who look at records."""

import io
from decimal import DecimalException

from fastavro import schemaless_reader

from cqrs.avro.bounds import check_bounds
from cqrs.avro.framing import unframe
from cqrs.avro.model import parse
from cqrs.avro.skim import skimmer
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging.message import Message


def read_plain(message: Message, schema: str) -> object:
    """Return the value of `message`, read with the text of the schema that it was written with.

    Raises:
        UndecodableMessageException: the schema cannot be used or is not safe to read with, or the bytes do not fit it.
    """
    body = unframe(message).body
    try:
        parsed = parse(schema)
        check_bounds(parsed.root)
        if (skim := skimmer(parsed.root)) is not None:
            skim(body)
        stream = io.BytesIO(body)
        value: object = schemaless_reader(stream, parsed.parsed, None)
    except (ValueError, EOFError, LookupError, OverflowError, DecimalException) as error:
        raise UndecodableMessageException(f"{message.place} is not what its schema says: {error}") from error
    if left := len(body) - stream.tell():
        raise UndecodableMessageException(f"{message.place} has {left} bytes behind its end")
    return value
