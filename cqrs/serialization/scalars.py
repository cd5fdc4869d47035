"""Single values: what each type accepts from plain data, and its form in JSON."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from cqrs.serialization.misfits import kind, misfit

Reader = Callable[[object], object]
"""Turn one plain value into the object it stands for, or raise MisfitException."""

MAX_EXPONENT = 6144
"""The largest power of ten that decimal128 (IEEE 754) has: past it a number of a few bytes stands for gigabytes."""

_QUOTED = 20
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def read_str(value: object) -> str:
    """Accept text that UTF-8 can carry."""
    if type(value) is not str:
        raise misfit(f"must be a string, not {kind(value)}")
    return value if value.isascii() else whole_text(value)


def read_int(value: object) -> int:
    """Accept an integer; a bool is none, nor is 2.0."""
    if type(value) is not int:
        raise misfit(f"must be an integer, not {_number_kind(value)}")
    return value


def read_bool(value: object) -> bool:
    """Accept true and false."""
    if type(value) is not bool:
        raise misfit(f"must be true or false, not {_number_kind(value)}")
    return value


def read_float(value: object) -> float:
    """Accept any finite number."""
    if type(value) is not float and type(value) is not Decimal and type(value) is not int:
        raise misfit(f"must be a number, not {kind(value)}")
    try:
        made = float(value)
    except OverflowError:
        made = math.inf
    if not math.isfinite(made):
        raise misfit("must be a number that a double can hold")
    return made


def read_decimal(value: object) -> Decimal:
    """Accept a decimal, an integer, or a string of digits, exactly; never a binary float."""
    if type(value) is str:
        made = _spelt_decimal(value)
    elif type(value) is Decimal or type(value) is int:
        made = Decimal(value)
    else:
        raise misfit(f"must be a decimal number, or a string that holds one, not {_number_kind(value)}")
    if not made.is_finite() or abs(made.adjusted()) > MAX_EXPONENT:
        between = f"between 1e-{MAX_EXPONENT} and 1e{MAX_EXPONENT}"
        raise misfit(f"must be a finite number {between}, not {_quoted(str(made))}")
    return made


def _spelt_decimal(text: str) -> Decimal:
    if not _DECIMAL.match(text):
        raise misfit(f"must be a decimal number such as 12.50 in the digits 0 to 9, not {_quoted(text)}")
    return Decimal(text)


def _quoted(text: str) -> str:
    """Return the beginning of `text` as a sentence can hold it: in quotes, in ASCII, short."""
    return ascii(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")


def read_datetime(value: object) -> datetime:
    """Accept a point in time, or its ISO 8601 form with an offset; give it in UTC."""
    try:
        made = datetime.fromisoformat(value) if type(value) is str else value
    except ValueError:
        made = None
    if not isinstance(made, datetime):
        raise misfit("must be a time in ISO 8601, for example 2026-01-31T12:00:00Z")
    if made.utcoffset() is None:
        raise misfit("must say its offset from UTC, for example with a Z at its end")
    try:
        return made.astimezone(UTC)
    except OverflowError:
        raise misfit("is outside the years 1 to 9999 in UTC") from None


def read_date(value: object) -> date:
    """Accept a calendar date or its ISO 8601 form; a time is none."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if type(value) is str and _DATE.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise misfit("is no day of the calendar") from None
    raise misfit(f"must be a date, for example 2026-01-31, not {kind(value)}")


def read_uuid(value: object) -> UUID:
    """Accept a UUID or its usual form of 36 characters."""
    if isinstance(value, UUID):
        return value
    if type(value) is str and _UUID.match(value):
        return UUID(value)
    raise misfit("must be a UUID, for example 0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11")


def read_bytes(value: object) -> bytes:
    """Accept bytes, or their base64 form."""
    if type(value) is bytes:
        return value
    try:
        if type(value) is str:
            return base64.b64decode(value, validate=True)
    except binascii.Error:
        pass  # what follows says so
    raise misfit(f"must be bytes in base64, not {kind(value)}")


def read_none(value: object) -> None:
    """Accept null."""
    if value is not None:
        raise misfit(f"must be null, not {kind(value)}")


def read_anything(value: object) -> object:
    """Accept whatever came."""
    return value


def _number_kind(value: object) -> str:
    return "a fraction" if isinstance(value, Decimal | float) else kind(value)


def whole_text(value: str) -> str:
    """Refuse text that UTF-8 cannot carry."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise misfit("holds half of a surrogate pair, which is no character") from None
    return value


def _plain_float(value: float) -> float:
    if not math.isfinite(value):
        raise misfit(f"{value} has no form in JSON")
    return value


def _plain_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise misfit(f"{value} has no form in JSON")
    return str(value)


def _plain_datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise misfit("is a datetime without an offset; make it with datetime.now(UTC)")
    return value.isoformat().replace("+00:00", "Z")


def _same(value: object) -> object:
    return value


def _cast(function: Callable[..., object]) -> Callable[[object], object]:
    return function


PLAIN: Mapping[type, Callable[[object], object]] = {
    str: _cast(whole_text),
    int: _same,
    bool: _same,
    type(None): _same,
    float: _cast(_plain_float),
    Decimal: _cast(_plain_decimal),
    datetime: _cast(_plain_datetime),
    date: _cast(date.isoformat),
    time: _cast(time.isoformat),
    UUID: str,
    bytes: _cast(lambda value: base64.b64encode(value).decode()),
}
"""Each type's form in JSON; raises MisfitException for a value that has none."""

READERS: Mapping[object, Reader] = {
    str: read_str,
    int: read_int,
    bool: read_bool,
    float: read_float,
    Decimal: read_decimal,
    datetime: read_datetime,
    date: read_date,
    UUID: read_uuid,
    bytes: read_bytes,
    type(None): read_none,
    None: read_none,
    object: read_anything,
}
"""What each type accepts."""
