"""JSON values: commands in, events out.

Reading is strict in what RFC 8259 leaves open: UTF-8 only, no key twice, no NaN or Infinity, bounded depth and size.
Fractions are read as Decimal, so that no amount of money ever passes through a binary float.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from json.scanner import make_scanner
from typing import NoReturn, TypeVar

from cqrs.exceptions import UndecodableMessageException, UnpublishableEventException
from cqrs.messaging.message import Message
from cqrs.messaging.ports import EncodedEvent
from cqrs.serialization.misfits import MisfitException
from cqrs.serialization.structure import build, plain, shape_problems
from cqrs.types import declared_name

T = TypeVar("T")

CONTENT_TYPE = "application/json"
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

Contract = Callable[[object], None]
"""Check an object that was made from JSON against the schema of its type.

Raises UndecodableMessageException naming every misfit; an object whose type has no schema passes.
"""

# Possessive and ending at the text's end at the latest, so that no input makes it look at a byte twice.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class JsonPayload:
    """Be a JSON value that has been parsed.

    Attributes:
        type_name: The type that its envelope names, or None when it has no envelope.
    """

    def __init__(self, data: object, type_name: str | None, contract: Contract | None) -> None:
        self._data = data
        self._type_name = type_name
        self._contract = contract

    @property
    def type_name(self) -> str | None:
        """Return the type that the value's envelope names, or None when it has no envelope."""
        return self._type_name

    def build(self, target: type[T]) -> T:
        """Make an object of class `target`, strictly: nothing is converted that JSON can say itself.

        Raises:
            UndecodableMessageException: the value does not fit the class or its schema; names every misfit.
        """
        try:
            made = build(target, self._data)
        except MisfitException as error:
            raise UndecodableMessageException(f"the JSON value is no {target.__qualname__}: {error}") from None
        if self._contract is not None:
            self._contract(made)
        return made

    def plain(self) -> object:
        """Return the value as it was parsed, without its envelope."""
        return self._data


class JsonDecoder:
    """Parse JSON values: the bare body, or the envelope `{"type": "...", "data": {...}}` when no header names a type.

    Args:
        contract: Checks each object that is built, so that JSON obeys the same schema as Avro; None checks nothing.
        max_bytes: The largest value that is parsed.
        max_depth: How many arrays and objects may be open within each other.
    """

    def __init__(
        self, *, contract: Contract | None = None, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH
    ) -> None:
        self._contract = contract
        self._max_bytes = max_bytes
        self._max_depth = max_depth

    async def parse(self, message: Message, declared_type: str | None) -> JsonPayload:
        """Parse the value of `message`.

        Args:
            message: The record; its value is not None.
            declared_type: The type that its headers declare; the body is then bare. Otherwise an object that has
                `type` and `data` is an envelope, and any other value is a bare body of unnamed type.

        Raises:
            UndecodableMessageException: it is not JSON, or is JSON that a reader could understand in two ways.
        """
        data = self._parse(message.value or b"")
        if declared_type is not None or not _is_envelope(data):
            return JsonPayload(data, None, self._contract)
        type_name, body = _open_envelope(data)
        return JsonPayload(body, type_name, self._contract)

    def _parse(self, value: bytes) -> object:
        if len(value) > self._max_bytes:
            raise UndecodableMessageException(
                f"the JSON value has {len(value)} bytes, more than the {self._max_bytes} allowed"
            )
        try:
            return parse_json(value, max_depth=self._max_depth)
        except ValueError as error:
            raise UndecodableMessageException(f"the value is not JSON: {error}") from None


class JsonEncoder:
    """Write events as JSON: Decimal and UUID as strings, times as ISO 8601, bytes as base64."""

    async def encode(self, event: object, topic: str) -> EncodedEvent:
        """Encode `event`; nothing it holds is left out.

        Raises:
            UnpublishableEventException: it declares no name, or holds what JSON cannot say; names every such place.
        """
        name = declared_name(type(event))
        if name is None:
            raise UnpublishableEventException(_nameless(type(event)))
        try:
            value = json.dumps(plain(event), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except RecursionError:
            raise UnpublishableEventException(
                f"event {name} for topic {topic} holds itself, or nests too deeply"
            ) from None
        except ValueError as error:
            raise UnpublishableEventException(
                f"event {name} for topic {topic} cannot be written as JSON: {error}"
            ) from None
        return EncodedEvent(value=value, type_name=name, content_type=CONTENT_TYPE)

    def problems(self, event_type: type, topic: str) -> Sequence[str]:
        """Say what would keep every event of this class from being written, a sentence each."""
        found = [] if declared_name(event_type) else [_nameless(event_type)]
        return found + [
            f"event {event_type.__qualname__} for topic {topic}: {problem}" for problem in shape_problems(event_type)
        ]


def parse_json(value: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Parse UTF-8 JSON; fractions become Decimal.

    Raises:
        ValueError: it is not JSON, is nested deeper than `max_depth`, has a key twice, or holds NaN or Infinity.
    """
    text = value.decode("utf-8")
    if text.count("[") + text.count("{") > max_depth:
        _refuse_depth(text, max_depth)
    try:
        data, end = _scan(text, 0)
    except StopIteration:  # it begins with a space, or is not JSON; `decode` knows
        return _DECODER.decode(text)
    return data if end == len(text) else _DECODER.decode(text)


def _refuse_depth(text: str, max_depth: int) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        bracket = token.group()
        if bracket in "[{":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"arrays and objects are nested deeper than {max_depth} levels")
        elif bracket in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return made


def _exact(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation as error:
        raise ValueError("a number has more digits than can be read") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_exact, parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[object, int]] = make_scanner(_DECODER)  # type: ignore[arg-type]  # it takes a decoder


def _is_envelope(data: object) -> bool:
    return isinstance(data, dict) and "type" in data and "data" in data


def _open_envelope(data: object) -> tuple[str, object]:
    assert isinstance(data, dict)  # noqa: S101 - _is_envelope said so
    name, extra = data["type"], sorted(data.keys() - {"type", "data"})
    if not isinstance(name, str):
        raise UndecodableMessageException("type: the envelope's type must be a string")
    if extra:
        raise UndecodableMessageException(f"the envelope has only type and data; unknown: {', '.join(extra)[:200]}")
    return name, data["data"]


def _nameless(event_type: type) -> str:
    return (
        f"event {event_type.__qualname__} declares no name for the wire; "
        f'put event_type: ClassVar[str] = "<namespace>.{event_type.__name__}" into it'
    )
