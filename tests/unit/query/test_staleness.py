from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
from pydantic import BaseModel

from cqrs.cache.adapter import MISSING, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.registry import AnyQueryHandler, HandlerRegistry, Registration
from cqrs.decorators import query_handler
from cqrs.event.eda import EventEnvelope
from cqrs.exceptions import ConfigurationException
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import QueryHandler
from cqrs.query.staleness import StaleRule, register_rules, rule_problems, rules_of, stale_after
from cqrs.types import Query


@dataclass(frozen=True)
class Opened:
    event_type: ClassVar[str] = "shop.Opened"
    shop_id: str


class Closed(BaseModel):
    event_type: ClassVar[str] = "shop.Closed"
    shop_id: str


class Renamed:
    event_type: ClassVar[str] = "shop.Renamed"


@dataclass(frozen=True)
class Get(Query[str]):
    shop_id: str

    def get_cache_key(self) -> str:
        return f"shop:{self.shop_id}"


class Handler(QueryHandler[Get, str]):
    async def do_handle(self, query: Get) -> str:
        return query.shop_id


Mark = Callable[[type[Handler]], type[Handler]]
KEY = "shop:{shop_id}"


def registered(*marks: Mark) -> list[Registration[AnyQueryHandler]]:
    class Marked(Handler):
        pass

    kind: type[Handler] = Marked
    for mark in marks:
        kind = mark(kind)
    registry = HandlerRegistry()
    registry.register_query_handler(kind())
    return registry.query_registrations()


CACHEABLE: Mark = query_handler(cacheable=True)


def test_rules_add_up_in_any_order_of_the_decorators() -> None:
    by_class: Mark = stale_after(Opened, Closed, key=KEY)
    by_name: Mark = stale_after("shop.Moved", key="all")
    for marks in ((CACHEABLE, by_class, by_name), (by_class, by_name, CACHEABLE)):
        (only,) = registered(*marks)
        assert rules_of(type(only.handler)) == (
            StaleRule("shop.Opened", KEY),
            StaleRule("shop.Closed", KEY),
            StaleRule("shop.Moved", "all"),
        )


def test_subclasses_do_not_inherit_rules() -> None:
    @stale_after(Opened, key=KEY)
    class Parent(Handler):
        pass

    class Child(Parent):
        pass

    assert rules_of(Child) == ()
    assert stale_after(Closed, key=KEY)(Child) is Child
    assert (len(rules_of(Parent)), len(rules_of(Child))) == (1, 1)


@pytest.mark.parametrize(("events", "problem"), [((), "no event is named"), ((Opened, str), "str declares no event_")])
def test_a_rule_without_an_event_is_refused(events: tuple[type, ...], problem: str) -> None:
    with pytest.raises(ConfigurationException, match=problem):
        stale_after(*events, key=KEY)


@pytest.mark.asyncio
@pytest.mark.parametrize("prefix", [None, "eu"])
async def test_the_event_forgets_the_answer_that_the_bus_kept(prefix: str | None) -> None:
    cache = QueryCacheAdapter(MemoryCacheAdapter())
    (only,) = registered(stale_after(Opened, key=KEY), query_handler(cacheable=True, cache_key_prefix=prefix))
    bridge, registry = EdaCacheInvalidationBridge(cache), HandlerRegistry()
    registry.register_query_handler(only.handler)
    register_rules([only], bridge)
    bus = DefaultQueryBus(registry, cache_adapter=cache)
    kept = {each: f"{prefix}:shop:{each}" if prefix else f"shop:{each}" for each in ("1", "2")}
    for each in kept:
        assert await bus.query(Get(each)) == each

    await bridge.on_envelope(EventEnvelope("shop.Opened", {"shop_id": "1"}))
    assert await cache.lookup(kept["1"]) is MISSING
    assert await cache.lookup(kept["2"]) == "2"


@pytest.mark.parametrize(
    ("marks", "problems"),
    [
        ((CACHEABLE,), ()),
        ((CACHEABLE, stale_after(Opened, Closed, key=KEY)), ()),
        ((CACHEABLE, stale_after(Renamed, key="{anything}")), ()),
        ((stale_after(Opened, key=KEY),), ("its answers are not kept; give @query_handler(cacheable=True)",)),
        (
            (CACHEABLE, stale_after("shop.Open", key=KEY)),
            ("no event of this service declares the name 'shop.Open'; did you mean 'shop.Opened'?",),
        ),
        (
            (CACHEABLE, stale_after(Opened, Closed, key="shop:{id}")),
            (
                "the key 'shop:{id}' needs 'id', and shop.Opened has no such field",
                "the key 'shop:{id}' needs 'id', and shop.Closed has no such field",
            ),
        ),
    ],
)
def test_a_rule_that_can_never_have_an_effect_is_a_problem(marks: tuple[Mark, ...], problems: tuple[str, ...]) -> None:
    found = rule_problems(registered(*marks), (Opened, Closed, Renamed))
    assert len(found) == len(problems)
    for told, expected in zip(found, problems, strict=True):
        assert told.startswith("@stale_after on ")
        assert expected in told


def test_without_event_classes_names_are_taken_as_they_are() -> None:
    assert rule_problems(registered(CACHEABLE, stale_after("elsewhere.Happened", key="{x}")), ()) == ()
