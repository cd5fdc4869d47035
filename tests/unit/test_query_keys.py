"""The cache keys of queries: the same in every process, different for different questions."""

import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

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
