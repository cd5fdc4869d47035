"""Say beside a query's handler which events make its cached answers stale."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel

from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.command.registry import AnyQueryHandler, Registration
from cqrs.exceptions import ConfigurationException
from cqrs.types import declared_name

H = TypeVar("H")

_RULES = "__cqrs_stale_after__"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class StaleRule:
    """Say that events of one type make one cached answer stale.

    Attributes:
        event_type: The event's declared name.
        key: The cache key as the query's `get_cache_key()` returns it, `{field}` standing for a field of the event.
    """

    event_type: str
    key: str


def stale_after(*events: str | type, key: str) -> Callable[[type[H]], type[H]]:
    """Mark the handler of a cacheable query: when one of `events` happens, the answer kept under `key` is forgotten.

    Every replica that has a cache does so, whichever replica handled the command. The handler's `cache_key_prefix` is
    put before the key. May be given several times; subclasses do not inherit it.

    Args:
        events: Event classes, or the names that they declare.
        key: As the query's `get_cache_key()` returns it, where `{field}` stands for a field of the event.

    Raises:
        ConfigurationException: there is no event, or a class declares no name.
    """
    nameless = [each.__qualname__ for each in events if isinstance(each, type) and declared_name(each) is None]
    if nameless or not events:
        wrong = f"{', '.join(nameless)} declares no event_type" if nameless else "no event is named"
        raise ConfigurationException([f"@stale_after(key={key!r}): {wrong}; name the events that change the answer."])
    names = [each if isinstance(each, str) else declared_name(each) or "" for each in events]

    def mark(cls: type[H]) -> type[H]:
        setattr(cls, _RULES, (*rules_of(cls), *(StaleRule(name, key) for name in names)))
        return cls

    return mark


def rules_of(handler: type) -> tuple[StaleRule, ...]:
    """Return the rules that a handler class itself is marked with."""
    rules: tuple[StaleRule, ...] = vars(handler).get(_RULES, ())
    return rules


def register_rules(registrations: Iterable[Registration[AnyQueryHandler]], bridge: EdaCacheInvalidationBridge) -> None:
    """Give the rules of every handler to the bridge, each key with its handler's prefix."""
    for each in registrations:
        prefix = each.options.cache_key_prefix
        for rule in rules_of(type(each.handler)):
            bridge.register(rule.event_type, f"{prefix}:{rule.key}" if prefix else rule.key)


def rule_problems(
    registrations: Iterable[Registration[AnyQueryHandler]], event_types: Sequence[type]
) -> tuple[str, ...]:
    """Return every rule that can never have an effect, a sentence each.

    Args:
        registrations: The query handlers.
        event_types: Every event class of the service; with none, events are taken as they are named.
    """
    known = {declared_name(kind) or "": kind for kind in event_types}
    return tuple(
        f"@stale_after on {type(each.handler).__qualname__}: {problem}"
        for each in registrations
        for problem in _problems_of(each, known)
    )


def _problems_of(registration: Registration[AnyQueryHandler], known: dict[str, type]) -> Iterator[str]:
    rules = rules_of(type(registration.handler))
    if rules and not registration.handler.supports_caching():
        yield "its answers are not kept; give @query_handler(cacheable=True), or take the rule away"
    for rule in rules if known else ():
        event = known.get(rule.event_type)
        if event is None:
            near = get_close_matches(rule.event_type, known, n=1, cutoff=0.0)
            yield f"no event of this service declares the name {rule.event_type!r}; did you mean {near[0]!r}?"
            continue
        for name in _PLACEHOLDER.findall(rule.key):
            if name not in _fields(event, otherwise=name):
                yield f"the key {rule.key!r} needs {name!r}, and {rule.event_type} has no such field"


def _fields(event: type, otherwise: str) -> set[str]:
    if is_dataclass(event):
        return {each.name for each in fields(event)}
    return set(event.model_fields) if issubclass(event, BaseModel) else {otherwise}
