"""Make anything that came over the wire safe and short to print; what is printed never steers the terminal."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

_PRINTED_CONTROLS = frozenset("\n\t")
_DUMP_WIDTH = 16
_DUMP_LIMIT = 256


def printable(text: str) -> str:
    """Return `text` with everything that a terminal could obey written out as an escape, line ends and tabs kept."""
    return "".join(
        character if character.isprintable() or character in _PRINTED_CONTROLS else _escaped(character)
        for character in text
    )


def one_line(text: str) -> str:
    """Return `text` in one line, line ends and tabs written out as well."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def readable(raw: bytes | None) -> str:
    """Return bytes as text in one line when they are UTF-8, else in hexadecimal; `null` when there are none."""
    if raw is None:
        return "null"
    try:
        return one_line(raw.decode())
    except UnicodeDecodeError:
        return f"0x{raw[:_DUMP_LIMIT].hex()}{'...' if len(raw) > _DUMP_LIMIT else ''}"


def hex_dump(raw: bytes, limit: int = _DUMP_LIMIT) -> str:
    """Return offset, hexadecimal and text of the first `limit` bytes, sixteen a line, and how many are left."""
    lines = list(_dump_lines(raw[:limit]))
    if len(raw) > limit:
        lines.append(f"... and {len(raw) - limit} bytes more")
    return "\n".join(lines)


def pretty_json(value: object) -> str:
    """Return a decoded value as indented JSON; amounts, times and ids as the text that JSON commands carry."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def short_json(value: object) -> str:
    """Return a decoded value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def simple_name(fqcn: str) -> str:
    """Return the class of a dotted path, `CqrsValidationException` of `cqrs.validation...CqrsValidationException`."""
    return fqcn.rpartition(".")[2]


def clock(timestamp_ms: int) -> str:
    """Return a moment in UTC as people write it, to the millisecond; the number itself when no calendar has it."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(timestamp_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date | Decimal | UUID):
        return str(value)
    return readable(value) if isinstance(value, bytes) else str(value)


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _dump_lines(raw: bytes) -> Iterator[str]:
    for start in range(0, len(raw), _DUMP_WIDTH):
        line = raw[start : start + _DUMP_WIDTH]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{start:06x}  {line.hex(' '):<{_DUMP_WIDTH * 3 - 1}}  {text}"
