"""Write values as JSON that reads back as the same values; only classes that were named are ever made from it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from cqrs.exceptions import ConfigurationException

_PLAIN = (str, bool, int, float, type(None))
_TAG = "$"
_VALUE = "v"

_Convert = Callable[[object], object]

# By exact type: how a value is written, and how it is read. Containers hold written values.
_SCALARS: dict[type, tuple[Callable[..., object], Callable[..., object]]] = {
    bytes: (lambda value: b64encode(value).decode(), b64decode),
    Decimal: (str, Decimal),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (lambda value: [value.days, value.seconds, value.microseconds], lambda parts: timedelta(*parts)),
    UUID: (str, UUID),
}
_CONTAINERS: dict[str, type] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class ValueCodec:
    """Encode and decode the values of a cache that lives outside the process.

    Numbers, text, bytes, Decimal, UUID, dates and times, and lists, tuples, sets and dicts of them need no mention.

    Args:
        types: The dataclasses, pydantic models and enums that values may be made of at their top or as items of a
            container; what their fields hold follows from their annotations.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._adapters: dict[str, TypeAdapter[object]] = {}
        self.accept(types)

    def accept(self, types: Iterable[type]) -> None:
        """Name further classes; naming one again changes nothing.

        Raises:
            ConfigurationException: pydantic cannot write and read the fields of one; names all such.
        """
        problems: list[str] = []
        for kind in types:
            try:
                self._adapters[_name(kind)] = TypeAdapter(kind)
            except PydanticUserError as error:
                reason = str(error).partition("\n")[0]
                problems.append(f"{_name(kind)} cannot be kept in a cache outside of the process: {reason}")
        if problems:
            raise ConfigurationException(problems)

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON.

        Raises:
            TypeError: it holds an object of a class that was not named, or one that would not read back equal.
        """
        return json.dumps(self._write(value), separators=(",", ":")).encode()

    def decode(self, content: bytes | str) -> object:
        """Return the value that `content` was made from.

        Raises:
            ValueError: it was not made by `encode`, or its class has changed since.
        """
        try:
            return self._read(json.loads(content))
        except (TypeError, KeyError, ArithmeticError) as error:
            raise ValueError(f"this is no cached value: {error!r}") from error

    def _write(self, value: object) -> object:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is list:
            return [self._write(item) for item in cast("list[object]", value)]
        if kind is dict:
            pairs = cast("dict[object, object]", value).items()
            return _tagged("dict", [[self._write(name), self._write(item)] for name, item in pairs])
        if kind.__name__ in _CONTAINERS and kind in _CONTAINERS.values():
            return _tagged(kind.__name__, [self._write(item) for item in cast("Iterable[object]", value)])
        if kind in _SCALARS:
            return _tagged(kind.__name__, _SCALARS[kind][0](value))
        return self._write_object(value)

    def _write_object(self, value: object) -> object:
        name = _name(type(value))
        adapter = self._adapters.get(name)
        if adapter is None:
            raise TypeError(f"{name} is not among the types of this cache; name it where the cache is made")
        written = adapter.dump_python(value, mode="json")
        # A field annotated too loosely would come back as something else, silently.
        if adapter.validate_json(json.dumps(written)) != value:
            raise TypeError(f"{value!r} does not read back equal; annotate the fields of {name} more precisely")
        return _tagged(name, written)

    def _read(self, written: object) -> object:
        if isinstance(written, list):
            return [self._read(item) for item in written]
        if not isinstance(written, dict):
            return written
        tag, content = written[_TAG], written[_VALUE]
        if tag == "dict":
            return {self._read(name): self._read(item) for name, item in content}
        if tag in _CONTAINERS:
            return _CONTAINERS[tag](self._read(item) for item in content)
        for kind, (_, read) in _SCALARS.items():
            if kind.__name__ == tag:
                return read(content)
        return self._read_object(tag, content)

    def _read_object(self, name: str, content: object) -> object:
        try:
            return self._adapters[name].validate_json(json.dumps(content))
        except ValidationError as error:
            raise ValueError(f"the cached {name} does not fit its class any more: {error}") from error


def _tagged(tag: str, content: object) -> dict[str, object]:
    return {_TAG: tag, _VALUE: content}


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
