"""Text that telemetry can always carry: whatever an error or a record says, encoding it never fails.

A lone surrogate (JSON can spell one as an escape) cannot be written as UTF-8. In a span's name or status it makes the
OTLP exporter drop the whole batch, other messages' spans included.
"""

import traceback
from typing import Final

MESSAGE_LIMIT: Final = 1_024
"""How many characters of an error's message are kept."""

STACKTRACE_LIMIT: Final = 8_192
"""How many characters of a stack trace are kept: its end, where the error is."""


def encodable(text: str) -> str:
    """Return `text` with what UTF-8 cannot hold replaced by question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def error_name(error: BaseException) -> str:
    """Return the class of `error`, with its module unless that is builtins."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """Return what `error` says of itself, cut at MESSAGE_LIMIT; a class whose `str()` raises is named instead."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything, and must not hide the error
        message = f"<{error_name(error)} cannot be printed: its str() raised {error_name(broken)}>"
    return encodable(message[:MESSAGE_LIMIT])


def error_stacktrace(error: BaseException) -> str:
    """Return the formatted stack trace of `error`, its last STACKTRACE_LIMIT characters."""
    return encodable("".join(traceback.format_exception(error))[-STACKTRACE_LIMIT:])
