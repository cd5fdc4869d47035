"""What a dead letter says of itself, read from its headers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cqrs.cli.text import clock, printable, readable
from cqrs.exceptions import CommandProcessingException
from cqrs.messaging import dead_letter_headers as names
from cqrs.messaging.message import Message

_WRAPPING = f"{CommandProcessingException.__module__}.{CommandProcessingException.__qualname__}"
_NUMBERS = {names.ORIGINAL_PARTITION: 4, names.ORIGINAL_OFFSET: 8, names.ORIGINAL_TIMESTAMP: 8}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Hold why a record was refused.

    Attributes:
        exception: The class of what was raised, with its module; empty for a record that is no dead letter.
        cause: The class of its root cause; the exception itself when it had no other.
        message: What it said, all lines.
        stacktrace: Where it came from, or empty.
        origin: Where the record lay first, as `topic[partition]@offset`, or empty.
    """

    exception: str
    cause: str
    message: str
    stacktrace: str
    origin: str

    @property
    def is_told(self) -> bool:
        """Say whether the record is a dead letter at all."""
        return bool(self.exception)

    @property
    def reason(self) -> str:
        """Return the class that says most: what was raised, or its cause where that is only the bus's wrapping."""
        return self.cause if self.exception == _WRAPPING else self.exception

    def is_by(self, kind: type[BaseException]) -> bool:
        """Say whether what was raised, or its root cause, is of exactly this class."""
        return f"{kind.__module__}.{kind.__qualname__}" in (self.exception, self.cause)


def refusal_of(message: Message) -> Refusal:
    """Read the dead letter headers of `message`; what is missing is empty."""
    headers = {name: value for name, value in message.headers if value is not None}
    exception = _text(headers, names.EXCEPTION_FQCN)
    return Refusal(
        exception=exception,
        cause=_text(headers, names.EXCEPTION_CAUSE_FQCN) or exception,
        message=_text(headers, names.EXCEPTION_MESSAGE),
        stacktrace=_text(headers, names.EXCEPTION_STACKTRACE),
        origin=_origin(headers),
    )


def header_texts(message: Message) -> Iterator[tuple[str, str]]:
    """Yield each header's name and value for people: numbers read, times as a calendar has them, the rest as text."""
    for name, value in message.headers:
        if value is not None and len(value) == _NUMBERS.get(name, -1):
            number = int.from_bytes(value, "big", signed=True)
            yield name, f"{number} ({clock(number)})" if name == names.ORIGINAL_TIMESTAMP else str(number)
        else:
            yield name, readable(value)


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return printable(headers.get(name, b"").decode(errors="replace"))


def _origin(headers: Mapping[str, bytes]) -> str:
    topic = _text(headers, names.ORIGINAL_TOPIC)
    partition, offset = headers.get(names.ORIGINAL_PARTITION), headers.get(names.ORIGINAL_OFFSET)
    if not topic or partition is None or offset is None:
        return topic
    numbers = (int.from_bytes(each, "big", signed=True) for each in (partition, offset))
    return f"{topic}[{next(numbers)}]@{next(numbers)}"
