"""Digests of values: equal content, equal digest; whatever the order, the process and the type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from threading import Lock
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from cqrs.fingerprint import fingerprint, state_of


class Color(Enum):
    RED = 1


class Shade(Enum):
    RED = 1


class Word(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Point:
    x: object
    y: object = None


@dataclass(frozen=True)
class OtherPoint:
    x: object
    y: object = None


class Slotted:
    __slots__ = ("a", "unset")

    def __init__(self, a: object) -> None:
        self.a = a


class OneSlot:
    __slots__ = "a"

    def __init__(self, a: object) -> None:
        self.a = a


class Plain:
    def __init__(self, a: object) -> None:
        self.a = a

    @cached_property
    def costly(self) -> object:
        return object()


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: object = None
    _hidden: object = PrivateAttr(default=None)


DISTINCT: list[object] = [
    None, True, False, 0, 1, 1.0, 1j, "1", b"1", Decimal(1), Decimal("1.0"), "", b"", (), [], {}, set(), frozenset(),
    (1,), [1], (1, 2), (12,), ("ab", "c"), ("a", "bc"), ("abc",), {1: 2}, {1: {2: 3}}, {"a": None}, {1, 2},
    frozenset({1}),
    Color.RED, Shade.RED, Word.RED, "red", Number.ONE, range(3), date(2024, 1, 2), datetime(2024, 1, 2, tzinfo=UTC),
    datetime(2024, 1, 2, tzinfo=UTC).replace(tzinfo=None), time(1), timedelta(1), UUID(int=1), PurePosixPath("a"),
    float("inf"), float("nan"), -0.0, 0.0,
    Point(1), OtherPoint(1), Point(1, 2), Point(Point(1)), Slotted(1), Slotted(2), OneSlot(1), Plain(1), Plain(2),
    Model(a=1), Model(a=2), Model.model_validate({"a": 1, "b": 2}),
]  # fmt: skip


def test_every_two_different_values_have_different_digests() -> None:
    digests: dict[str, object] = {}
    for value in DISTINCT:
        known = digests.setdefault(fingerprint(value), value)
        assert known is value, f"{known!r} and {value!r} share a digest"


def test_the_digest_is_sixteen_hexadecimal_digits_that_never_change() -> None:
    # Kept in shared caches between releases: another digest would turn every kept result into a miss.
    assert fingerprint(("a", 1, None)) == "51a40e9f4e81a2e2"


@pytest.mark.parametrize("value", DISTINCT)
def test_the_short_way_for_common_classes_leads_to_the_same_digest(
    value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = fingerprint(value)
    monkeypatch.setattr("cqrs.fingerprint._BUILT_IN", {})
    assert fingerprint(value) == digest


@pytest.mark.parametrize("make", [Point, Slotted, Plain, lambda a: Model(a=a)])
def test_objects_of_equal_content_have_equal_digests(make: Callable[[object], object]) -> None:
    assert fingerprint(make([1, {2}])) == fingerprint(make([1, {2}]))


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_mapping_does_not_matter(mapping: Mapping[str, int]) -> None:
    assert fingerprint(dict(reversed(list(mapping.items())))) == fingerprint(dict(mapping))


@given(st.lists(st.text(), unique=True))
def test_the_order_of_a_set_does_not_matter(items: list[str]) -> None:
    assert fingerprint(dict.fromkeys(items).keys()) == fingerprint(dict.fromkeys(items[::-1]).keys())


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json, json)
def test_equal_digests_mean_equal_values(first: object, second: object) -> None:
    if fingerprint(first) == fingerprint(second):
        assert first == second


@pytest.mark.parametrize(
    "opaque", [Lock(), lambda: None, print, object(), Plain, iter([])], ids=lambda value: type(value).__name__
)
def test_what_has_no_content_is_refused_with_what_to_try(opaque: object) -> None:
    with pytest.raises(TypeError, match="override get_cache_key"):
        fingerprint(Point(opaque))


def test_lone_surrogates_are_text_too() -> None:
    assert fingerprint("\ud800") != fingerprint("\ud801")


def test_cached_properties_are_no_state() -> None:
    plain = Plain(1)
    assert plain.costly is not None
    assert state_of(plain) == {"a": 1}


def test_state_names_fields_slots_extras_and_private_attributes() -> None:
    model = Model.model_validate({"a": 1, "b": 2})
    model._hidden = 3
    assert state_of(model) == {"a": 1, "b": 2, "_hidden": 3}
    assert state_of(Slotted(1)) == {"a": 1}
    assert state_of(OneSlot(1)) == {"a": 1}
    assert state_of(Point(1), leave_out=frozenset({"y"})) == {"x": 1}
