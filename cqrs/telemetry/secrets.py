"""Keep secrets out of the logs: by the name of a field, and by the shape of a URL."""

import re
from collections.abc import Mapping
from typing import Final

from cqrs.masking import without_url_passwords

MASK: Final = "***"

_SECRET_NAME = re.compile(r"passw|passphrase|secret|token|credential|api[_-]?key|private[_-]?key|^authorization$", re.I)
_DEPTH_LIMIT = 8

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""What a log line is made of."""


def masked(name: str, value: object) -> Plain:
    """Return `value` as plain data without what looks like a secret.

    Args:
        name: The field's name; with `password`, `secret`, `token` or the like in it, the whole value is masked.
        value: Anything; what JSON has no word for becomes its `repr`.
    """
    return _plain(name, value, _DEPTH_LIMIT)


def represented(value: object) -> str:
    """Return the `repr` of `value` without passwords of URLs; a class whose `repr()` raises is named instead."""
    try:
        return without_url_passwords(repr(value))
    except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything, and must not lose the log line
        return f"<{type(value).__qualname__} cannot be shown: its repr() raised {type(error).__qualname__}>"


def _plain(name: str, value: object, depth: int) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str):
        return without_url_passwords(value)
    if isinstance(value, int | float):
        return value
    if depth and isinstance(value, Mapping):
        return {str(key): _plain(str(key), item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain("", item, depth - 1) for item in value]
    return represented(value)
