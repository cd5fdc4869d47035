"""The cache keys of queries: the same in every process, different for different questions."""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrs.query.cache_key import place_of
from cqrs.types import Query, chosen_cache_key, state_fingerprint


@dataclass(frozen=True)
class Look(Query[str]):
    x: int
    note: str = field(default="", compare=False)

    @cached_property
    def doubled(self) -> int:
        return self.x * 2


class Bare(Query[str]):
    pass


class WithState(Query[str]):
    def __init__(self, x: int) -> None:
        self.x = x


class Model(BaseModel, Query[str]):  # type: ignore[misc]
    x: int = 1


@dataclass(frozen=True)
class Kept(Query[str]):
    __module__ = "shop.queries"
    value: object


class KeptModel(BaseModel, Query[str]):  # type: ignore[misc]
    __module__ = "shop.queries"
    value: int = 1


class KeptPlain(Query[str]):
    __module__ = "shop.queries"

    def __init__(self, value: object) -> None:
        self.value = value


@dataclass(frozen=True)
class Part:
    __module__ = "shop.queries"
    name: object
    next: object = None


PINNED: list[tuple[Query[str], str]] = [
    (Kept(None), "Kept:aaa5f8257bc2ff9f"),
    (Kept(True), "Kept:00f9893c22691c50"),
    (Kept("order-0"), "Kept:41b79e2db0250121"),
    (Kept(b"order"), "Kept:9b2054658e8181ca"),
    (Kept(1), "Kept:705d19a565a7990b"),
    (Kept(1.5), "Kept:85e525ed46753e3c"),
    (Kept(Decimal("1.50")), "Kept:22016d210790feea"),
    (Kept(UUID(int=1)), "Kept:711ea0f379226877"),
    (Kept(datetime(2024, 1, 2, 3, 4, tzinfo=UTC)), "Kept:40b192136f07c4f4"),
    (Kept(date(2024, 1, 2)), "Kept:6cd0562e2d173f9c"),
    (Kept(timedelta(seconds=1.5)), "Kept:aefa8e7f742517be"),
    (Kept(("a", 1)), "Kept:aab3753a924acf81"),
    (Kept(["a", 1]), "Kept:41ec98c3c9c5cc72"),
    (Kept({"b": 2, "a": [1]}), "Kept:b93beaa551120533"),
    (Kept(frozenset({"a", "b"})), "Kept:cd422328abe3477f"),
    (KeptModel(value=1), "KeptModel:8a07b9be5a0bd52b"),
    (KeptPlain("a"), "KeptPlain:e63e707cc1c5f9ec"),
    (KeptPlain(Part("a", Part(Decimal(1)))), "KeptPlain:b0286b5ca5ea077d"),
]


def test_a_query_is_cacheable_unless_set_otherwise() -> None:
    query = Look(1)
    assert query.is_cacheable()
    query.set_cacheable(False)
    assert not query.is_cacheable()
    assert UUID(query.get_query_id()).version == 4


def test_the_key_of_a_dataclass_is_its_name_and_a_digest_of_its_fields() -> None:
    key = Look(1).get_cache_key()
    assert key is not None
    name, digest = key.split(":")
    assert name == "Look"
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert Look(1).get_cache_key() == key
    assert Look(2).get_cache_key() != key
    assert Look(1, note="also a field").get_cache_key() != key


@pytest.mark.parametrize(("query", "key"), PINNED, ids=[key for _, key in PINNED])
def test_the_keys_never_change(query: Query[str], key: str) -> None:
    # Kept in shared caches between releases: another key would turn every kept result into a miss.
    place = place_of(query, None, None)
    assert place is not None
    assert place.key == key


def test_a_key_that_a_class_is_given_later_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_of(KeptPlain(1), None, None) != place_of(KeptPlain(2), None, None)
    monkeypatch.setattr(KeptPlain, "get_cache_key", lambda query: "all")
    assert place_of(KeptPlain(1), None, None) == place_of(KeptPlain(2), None, None)


def test_metadata_and_cached_properties_enter_no_key() -> None:
    query = Look(1)
    query.set_metadata("a", 1)
    query.set_correlation_id("c")
    assert query.doubled == 2
    assert query.get_cache_key() == Look(1).get_cache_key()


def test_a_pydantic_query_has_a_key_of_its_fields() -> None:
    assert Model(x=1).get_cache_key() == Model(x=1).get_cache_key()
    assert Model(x=1).get_cache_key() != Model(x=2).get_cache_key()


def test_the_key_of_any_other_class_is_its_name_and_its_state_is_told_apart() -> None:
    assert Bare().get_cache_key() == "Bare"
    assert state_fingerprint(Bare()) is None
    assert WithState(1).get_cache_key() == "WithState"
    assert state_fingerprint(WithState(1)) == state_fingerprint(WithState(1))
    assert state_fingerprint(WithState(1)) != state_fingerprint(WithState(2))


def test_attributes_beside_the_fields_enter_the_key() -> None:
    class Wider(Look):
        def __init__(self, x: int, y: int) -> None:
            super().__init__(x)
            object.__setattr__(self, "y", y)

    assert Wider(1, 1).get_cache_key() != Wider(1, 2).get_cache_key()


def test_queries_of_one_name_from_two_modules_have_two_keys() -> None:
    other: type[Query[str]] = dataclass(frozen=True)(
        type("Look", (Query,), {"__annotations__": {"x": int, "note": str}, "__module__": "elsewhere", "note": ""})
    )
    assert other(1).get_cache_key() != Look(1).get_cache_key()


def test_a_key_can_be_chosen_for_one_query() -> None:
    query = Look(1)
    assert chosen_cache_key(query) is None
    query.set_cache_key("mine")
    assert query.get_cache_key() == chosen_cache_key(query) == "mine"
    query.set_cache_key(None)
    assert query.get_cache_key() == Look(1).get_cache_key()


def test_the_key_is_the_same_in_every_process() -> None:
    program = (
        "from dataclasses import dataclass\n"
        "from cqrs.types import Query\n"
        "@dataclass(frozen=True)\n"
        "class Q(Query[str]):\n"
        "    tags: frozenset[str]\n"
        "print(Q(frozenset('abcdefgh')).get_cache_key())\n"
    )
    printed = {
        subprocess.run(  # noqa: S603 - a program written above
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


@given(st.integers(), st.integers())
def test_different_fields_have_different_keys(first: int, second: int) -> None:
    assert (Look(first).get_cache_key() == Look(second).get_cache_key()) == (first == second)
