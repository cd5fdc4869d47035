from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs.cache.codec import ValueCodec
from cqrs.exceptions import ConfigurationException


class Colour(Enum):
    RED = "red"


class Word(StrEnum):
    YES = "yes"


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal


@dataclass(frozen=True)
class View:
    lines: tuple[Line, ...]
    at: datetime
    colour: Colour


class Model(BaseModel):
    view: View | None
    days: set[date]


@dataclass(frozen=True)
class Loose:
    anything: object


codec = ValueCodec([View, Line, Model, Colour, Word, Loose])

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-3))) | st.none())
    | st.timedeltas()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(SCALARS, inner)
        | st.sets(SCALARS)
        | st.frozensets(SCALARS)
    ),
    max_leaves=12,
)


def types_of(value: object) -> object:
    if isinstance(value, dict):
        return dict, [(types_of(key), types_of(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [types_of(item) for item in value]
    return type(value)


@given(VALUES)
def test_builtin_values_read_back_the_same_with_their_types(value: object) -> None:
    read = codec.decode(codec.encode(value))
    assert read == value
    assert types_of(read) == types_of(value)


@pytest.mark.parametrize(
    "value",
    [
        View((Line("a", Decimal("9.90")),), datetime(2026, 1, 1, tzinfo=UTC), Colour.RED),
        [Line("a", Decimal("0.10")), None],
        {uuid4(): Model(view=None, days={date(2026, 1, 1)})},
        Word.YES,
        (Colour.RED, time(1, 2), timedelta(days=-1)),
    ],
)
def test_named_classes_read_back_equal_and_of_the_same_class(value: object) -> None:
    read = codec.decode(codec.encode(value))
    assert read == value
    assert type(read) is type(value)


def test_a_mapping_that_looks_like_a_tag_is_a_mapping() -> None:
    value = {"$": "bytes", "v": "AAAA"}
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("value", [object(), [lambda: None], ValueError("x"), type("Sub", (dict,), {})()])
def test_a_class_that_was_not_named_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not among the types of this cache"):
        codec.encode(value)


def test_a_field_that_would_come_back_as_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="does not read back equal"):
        codec.encode(Loose(Decimal(1)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"$": "os.system", "v": "id"}',
        b'{"$": "bytes", "v": 3}',
        b'{"$": "decimal.Decimal", "v": "1"}',
        b'{"$": "Decimal", "v": "x"}',
        b'{"$": "timedelta", "v": "x"}',
        b"\x80\x04cposix\nsystem\n",
    ],
)
def test_what_was_not_written_by_it_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.decode(content)


def test_a_value_whose_class_has_changed_is_refused() -> None:
    content = codec.encode(Line("a", Decimal(1))).replace(b'"price"', b'"cost"')
    with pytest.raises(ValueError, match="does not fit its class any more"):
        codec.decode(content)


def test_classes_may_be_named_later() -> None:
    codec = ValueCodec([Colour])
    with pytest.raises(TypeError, match="Line is not among the types"):
        codec.encode(Line("A", Decimal(1)))
    codec.accept([Line])
    codec.accept([Line])
    kept = [Line("A", Decimal(1)), Colour.RED]
    assert codec.decode(codec.encode(kept)) == kept


def test_a_class_that_cannot_be_written_is_refused_when_it_is_named() -> None:
    class Opaque:
        pass

    @dataclass
    class Holder:
        held: Opaque

    @dataclass
    class Other:
        held: Opaque

    with pytest.raises(ConfigurationException) as refused:
        ValueCodec().accept([Holder, Line, Other])
    assert [name for name in ("Holder", "Line", "Other") if name in str(refused.value)] == ["Holder", "Other"]
    assert "Unable to generate pydantic-core schema" in refused.value.problems[0]
