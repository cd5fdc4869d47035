"""Show a record, one or many, to a person."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cqrs.avro.plain import read_plain
from cqrs.cli.letter_file import Letter
from cqrs.cli.places import Place
from cqrs.cli.refusal import header_texts, refusal_of
from cqrs.cli.text import clock, hex_dump, one_line, pretty_json, printable, readable, simple_name
from cqrs.exceptions import UndecodableMessageException
from cqrs.messaging import dead_letter_headers
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message

_SHOWN_APART = frozenset({dead_letter_headers.EXCEPTION_MESSAGE, dead_letter_headers.EXCEPTION_STACKTRACE})
_JSON_LIMIT = 100_000


def letter_view(letter: Letter) -> RenderableType:
    """Show one record whole: where it lies, key, value, headers; of a dead letter also why and from where."""
    message, refusal = letter.message, refusal_of(letter.message)
    parts: list[RenderableType] = [Text(message.place, style="bold"), _facts(message, refusal.origin)]
    if refusal.is_told:
        parts += _section("why", _reason(refusal.exception, refusal.cause, refusal.message))
    parts += _section("value", value_view(letter))
    parts += _section("headers", _headers(message))
    if refusal.stacktrace:
        parts += _section("stack trace", Text(refusal.stacktrace.rstrip()))
    return Group(*parts)


def letter_list(letters: Sequence[Letter], marks: Sequence[str] = ()) -> RenderableType:
    """Show many dead letters in short: where each lies, what it is, how it stands, and the beginning of why."""
    marked = zip(letters, marks or [""] * len(letters), strict=True)
    return Group(*(part for letter, mark in marked for part in _short(letter, mark)))


def value_view(letter: Letter) -> RenderableType:
    """Show a value: JSON indented, Avro read with its schema, other text as it is, anything else in hexadecimal."""
    value = letter.message.value
    if value is None:
        return Text("null")
    return _avro(letter) or _json(value) or _text(value) or Text(hex_dump(value))


def first_line(text: str, limit: int = 120) -> str:
    """Return the beginning of a message that may have many lines."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _short(letter: Letter, mark: str) -> Iterator[RenderableType]:
    message, refusal = letter.message, refusal_of(letter.message)
    title = Text(str(Place.of(message)), style="bold")
    title.append(f"  {one_line(read_envelope(message).type or 'no type in the headers')}", style="default")
    if message.key is not None:
        title.append(f"  key {readable(message.key)}", style="dim")
    if mark:
        title.append(f"  {one_line(mark)}", style="yellow")
    yield title
    if refusal.is_told:
        why = Text.assemble((simple_name(refusal.reason), "red"), f": {first_line(refusal.message)}")
        yield Padding(why, (0, 0, 0, 4), expand=False)


def _facts(message: Message, origin: str) -> RenderableType:
    facts = [("key", readable(message.key)), ("written", clock(message.timestamp_ms))]
    if origin:
        facts.append(("came from", origin))
    return Group(*(Text.assemble((f"{name:<10}", "dim"), text) for name, text in facts))


def _reason(exception: str, cause: str, message: str) -> RenderableType:
    lines = [Text(cause, style="red")]
    if cause != exception:
        lines.append(Text(f"raised as {exception}", style="dim"))
    return Group(*lines, Text(message))


def _headers(message: Message) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", overflow="fold", max_width=34)
    table.add_column(overflow="fold", ratio=1)
    for name, text in header_texts(message):
        table.add_row(Text(one_line(name)), Text("(see above)" if name in _SHOWN_APART else text))
    return table if message.headers else Text("none")


def _section(title: str, content: RenderableType) -> Iterator[RenderableType]:
    yield Text(title, style="bold")
    yield Padding(content, (0, 0, 0, 2), expand=False)


def _avro(letter: Letter) -> RenderableType | None:
    if letter.schema is None:
        return None
    try:
        return Text(printable(pretty_json(read_plain(letter.message, letter.schema))))
    except UndecodableMessageException as error:
        dump = Text(hex_dump(letter.message.value or b""))
        return Group(Text(f"not readable as Avro: {printable(str(error))}", style="dim"), dump)


def _json(value: bytes) -> RenderableType | None:
    if len(value) > _JSON_LIMIT:
        return None
    try:
        return Text(printable(pretty_json(json.loads(value))))
    except (ValueError, RecursionError):
        return None


def _text(value: bytes) -> RenderableType | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    shown = printable(text[:_JSON_LIMIT])
    # Text that needed escapes is bytes: the dump says more of it.
    return Text(shown) if shown == text[:_JSON_LIMIT] and text else None
