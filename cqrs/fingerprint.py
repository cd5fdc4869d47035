"""A digest of values that is the same in every process, whatever `PYTHONHASHSEED` and insertion order are."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from typing import TypeVar
from uuid import UUID

K = TypeVar("K")

_HEX_DIGITS = 16


def fingerprint(value: object) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value`'s content.

    Values of different types never share a digest: 1, 1.0, True and "1" are four values. Sets and mappings have none
    of their order in it. An object is its class and its attributes.

    Raises:
        TypeError: something in it has no content that could be read (a function, a lock, an open file).
    """
    return hashlib.sha256(_encode(value)).hexdigest()[:_HEX_DIGITS]


def state_of(value: object, leave_out: frozenset[str] = frozenset()) -> dict[str, object]:
    """Return the attributes that make up `value`: dataclass fields, slots, pydantic extras and its `__dict__`.

    What `functools.cached_property` keeps is left out, since it comes and goes.
    """
    kind = type(value)
    state = dict(_slots(value))
    attributes = getattr(value, "__dict__", {})
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        state.update((name, getattr(value, name)) for name in names if name not in attributes and hasattr(value, name))
    state.update(attributes)
    for name in ("__pydantic_extra__", "__pydantic_private__"):
        state.update(state.pop(name, None) or {})  # type: ignore[call-overload]
    state.pop("__pydantic_fields_set__", None)
    return {
        name: held
        for name, held in state.items()
        if name not in leave_out and not isinstance(getattr(kind, name, None), cached_property)
    }


def _slots(value: object) -> Iterable[tuple[str, object]]:
    for owner in type(value).__mro__:
        declared = owner.__dict__.get("__slots__")
        if not declared:
            continue
        for name in (declared,) if isinstance(declared, str) else declared:
            if name not in {"__dict__", "__weakref__"} and hasattr(value, name):
                yield name, getattr(value, name)


def _encode(value: object) -> bytes:
    known = _BUILT_IN.get(type(value))
    if known is not None:
        name, content = known
        return _frame(name, content(value))
    if value is None or value is True or value is False:
        return _frame("constant", repr(value).encode())
    if isinstance(value, Enum):
        return _frame(_class_name(value), value.name.encode())
    for kinds, content in _SCALARS:
        if isinstance(value, kinds):
            return _frame(_class_name(value), content(value))
    return _frame(_class_name(value), _encode_compound(value))


def _encode_compound(value: object) -> bytes:
    if isinstance(value, Mapping):
        return _entries(value)
    if isinstance(value, Set):
        return b"".join(sorted(_encode(item) for item in value))
    if isinstance(value, list | tuple):
        return _items(value)
    if _is_opaque(value):
        raise TypeError(
            f"a {_class_name(value)} has no content that is the same in every process; override get_cache_key()"
        )
    return _entries(state_of(value))


def _entries(mapping: Mapping[K, object]) -> bytes:
    return b"".join(sorted([_encode(key) + _encode(held) for key, held in mapping.items()]))


def _items(sequence: Iterable[object]) -> bytes:
    return b"".join([_encode(item) for item in sequence])


def _is_opaque(value: object) -> bool:
    if isinstance(value, type) or callable(value):
        return True
    return not (is_dataclass(value) or hasattr(value, "__dict__") or any(True for _ in _slots(value)))


def _frame(name: str, content: bytes) -> bytes:
    # The length keeps neighbours apart: ("ab", "c") and ("a", "bc") are two values.
    return f"{name}:{len(content)}:".encode() + content


def _class_name(value: object) -> str:
    return _named(type(value))


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _text(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _shown(value: object) -> bytes:
    return repr(value).encode()


def _plain(value: object) -> bytes:
    return bytes(value)  # type: ignore[call-overload, no-any-return]


_SCALARS: tuple[tuple[type | tuple[type, ...], Callable[[object], bytes]], ...] = (
    ((str, Decimal, UUID, PurePath), _text),
    ((bytes, bytearray), _plain),
    ((int, float, complex, datetime, date, time, timedelta, range), _shown),
)

_BUILT_IN: dict[type, tuple[str, Callable[..., bytes]]] = {
    **{kind: (_named(kind), _text) for kind in (str, Decimal, UUID)},
    **{kind: (_named(kind), _shown) for kind in (int, float, datetime, date, timedelta)},
    **{kind: (_named(kind), _items) for kind in (tuple, list)},
    dict: (_named(dict), _entries),
}
"""What the longer way through the kinds finds for these very classes, looked up at once: most values are of one."""
