"""Records kept in a file, nothing lost: one JSON object a line, bytes in base64."""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cqrs.exceptions import ConfigurationException
from cqrs.messaging.message import Headers, Message


@dataclass(frozen=True, slots=True)
class Letter:
    """Hold one record and, where it is known, the schema that its value was written with.

    Attributes:
        message: The record.
        schema: The schema's text, or None.
    """

    message: Message
    schema: str | None = None


def write_letters(path: Path, letters: Iterable[Letter]) -> None:
    """Write `letters` in place of what the file held; a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text("".join(f"{json.dumps(_written(letter))}\n" for letter in letters), encoding="utf-8")
    draft.replace(path)


def read_letters(path: Path) -> list[Letter]:
    """Read the file again.

    Raises:
        ConfigurationException: there is no such file, or a line of it is no record; says which.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ConfigurationException([f"There is no file {path}; `demo` writes one."]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationException([f"{path} cannot be read: {error}"]) from error
    return [_read(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _written(letter: Letter) -> Mapping[str, object]:
    message = letter.message
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp_ms": message.timestamp_ms,
        "timestamp_type": message.timestamp_type,
        "key": _text(message.key),
        "value": _text(message.value),
        "headers": [[name, _text(value)] for name, value in message.headers],
        "schema": letter.schema,
    }


def _read(path: Path, number: int, line: str) -> Letter:
    try:
        found = json.loads(line)
        headers: Headers = tuple((str(name), _bytes(value)) for name, value in found["headers"])
        message = Message(
            str(found["topic"]),
            int(found["partition"]),
            int(found["offset"]),
            _bytes(found["key"]),
            _bytes(found["value"]),
            headers,
            int(found["timestamp_ms"]),
            int(found["timestamp_type"]),
        )
        return Letter(message, found["schema"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        problem = f"{path}, line {number}: this is no record as `demo` writes it ({type(error).__name__}: {error})"
        raise ConfigurationException([problem]) from error


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
