"""Which dead letters are meant, read from the command line."""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cqrs.cli.places import Place
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.letter_facts import Selection
from cqrs.messaging.message import TopicPartition

_AGE = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold what was asked for on the command line; what is empty or None chooses all.

    Attributes:
        at: Single letters, as topic:partition:offset.
        topics: Dead letter topics, or the topics their records came from.
        partitions: Of the dead letter topics.
        offsets: Of the dead letter topics.
        keys: Of the records; hexadecimal as 0x....
        ids: Message ids.
        types: Declared types.
        errors: Classes of what was raised.
        older: An age such as 2h, or a moment in ISO 8601.
        newer: An age such as 2h, or a moment in ISO 8601.
    """

    at: Sequence[str] | None = None
    topics: Sequence[str] | None = None
    partitions: Sequence[int] | None = None
    offsets: Sequence[int] | None = None
    keys: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    types: Sequence[str] | None = None
    errors: Sequence[str] | None = None
    older: str | None = None
    newer: str | None = None


def selection_of(choice: Choice) -> Selection:
    """Return what `choice` means now.

    Raises:
        ConfigurationException: a place, an age or a moment cannot be read; lists all that cannot.
    """
    problems: list[str] = []
    places = [place for text in choice.at or () if (place := _place(text, problems)) is not None]
    found = Selection(
        topics=frozenset(choice.topics or ()),
        partitions=frozenset(choice.partitions or ()),
        offsets=frozenset(choice.offsets or ()),
        places=frozenset((TopicPartition(each.topic, each.partition), each.offset) for each in places),
        keys=frozenset(raw for text in choice.keys or () for raw in _raw(text)),
        ids=frozenset(choice.ids or ()),
        types=frozenset(choice.types or ()),
        errors=frozenset(choice.errors or ()),
        before_ms=_moment_ms("--older", choice.older, problems),
        after_ms=_moment_ms("--newer", choice.newer, problems),
    )
    if problems:
        raise ConfigurationException(problems)
    return found


def _place(text: str, problems: list[str]) -> Place | None:
    try:
        return Place.parse(text)
    except ValueError as error:
        problems.append(f"--at {error}")
        return None


def _raw(text: str) -> list[bytes]:
    """Return the bytes that `text` may stand for: its own, and those that listings print in hexadecimal."""
    found = [text.encode(errors="surrogateescape")]
    if text.startswith("0x"):
        with suppress(ValueError):
            found.append(bytes.fromhex(text[2:]))
    return found


def _moment_ms(option: str, text: str | None, problems: list[str]) -> int | None:
    if text is None:
        return None
    try:
        if age := _AGE.fullmatch(text.strip()):
            seconds = timedelta(**{_UNITS[age[2]]: int(age[1])}).total_seconds()
            return int((time.time() - seconds) * 1000)
        return int(datetime.fromisoformat(text).timestamp() * 1000)  # without an offset it is local time
    except (ValueError, OverflowError, OSError):
        problems.append(f"{option} {text!r}: write an age such as 90s, 30m, 2h or 7d, or a moment: 2026-01-31T12:00")
        return None
