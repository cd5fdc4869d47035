"""Dead letters as the service writes them, for tests of what shows them."""

from cqrs.exceptions import CommandProcessingException
from cqrs.messaging import dead_letter_headers
from cqrs.messaging.dead_letters import DeadLetters
from cqrs.messaging.message import Message
from cqrs.testing.memory import MemoryBroker, MemoryProducer

SOURCE = Message("cmd", 1, 7, b"k-1", b'{"a": 1}', (("ce_type", b"t.Do"), ("ce_id", b"id-1")), 1_700_000_000_000)


class StockException(Exception):
    pass


async def dead_letter_of(source: Message = SOURCE, error: Exception | None = None) -> Message:
    """Return the dead letter that the service makes of `source`."""
    broker = MemoryBroker({"cmd-dlt": 2})
    await DeadLetters(MemoryProducer(broker), "group", "{}-dlt".format).put(source, error or wrapped("sold out"))
    (letter,) = broker.messages("cmd-dlt")
    assert dict(letter.headers)[dead_letter_headers.ORIGINAL_TOPIC] == b"cmd"
    return letter


def wrapped(text: str) -> Exception:
    """Return what the bus raises for a handler that raised StockException(text), with its traceback."""
    try:
        try:
            raise StockException(text)
        except StockException as cause:
            raise CommandProcessingException(f"t.Do failed: StockException: {cause}", cause=cause) from cause
    except CommandProcessingException as error:
        return error
