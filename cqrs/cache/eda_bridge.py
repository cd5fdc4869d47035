"""Evict cached query results when events say that they are stale."""

import logging
import re
from collections.abc import Mapping
from datetime import timedelta

from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.event.eda import EventEnvelope, EventPublisher

_logger = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class EdaCacheInvalidationBridge:
    """Evict the cache keys that were registered for an event's type when the event arrives.

    Args:
        cache: The cache of the query bus.
    """

    def __init__(self, cache: QueryCacheAdapter) -> None:
        self._cache = cache
        self._patterns: dict[str, list[str]] = {}

    def register(self, event_type: str, cache_key_pattern: str) -> None:
        """Evict a key whenever an event of `event_type` arrives; an event type may have many patterns.

        Args:
            event_type: The event's type, exactly.
            cache_key_pattern: The key, where `{field}` stands for a field of the event's payload.
        """
        patterns = self._patterns.setdefault(event_type, [])
        if cache_key_pattern not in patterns:
            patterns.append(cache_key_pattern)

    def subscribe(self, publisher: EventPublisher) -> None:
        """Listen to every event of an event bus."""
        publisher.subscribe("*", self.on_envelope)

    def has_rule_for(self, event_type: str) -> bool:
        """Say whether an event of this type evicts anything."""
        return event_type in self._patterns

    async def on_envelope(self, envelope: EventEnvelope, *, settling: timedelta = timedelta(0)) -> None:
        """Evict what is registered for the event.

        A placeholder whose field is absent or None stays as it is, with a warning; the other keys are evicted.

        Args:
            envelope: The event.
            settling: How long after the event the state it speaks of may not be readable yet; meanwhile nothing is
                kept under these keys.

        Raises:
            Exception: what the cache raised for the first key that it could not evict, after all were tried.
        """
        failures: list[Exception] = []
        for pattern in self._patterns.get(envelope.event_type, ()):
            try:
                await self._evict(_resolved(pattern, envelope), settling)
            except Exception as error:  # noqa: BLE001 - raised once every key was tried
                failures.append(error)
        if failures:
            raise failures[0]

    async def _evict(self, key: str, settling: timedelta) -> None:
        if settling:
            await self._cache.withhold(key, settling)
        else:
            await self._cache.evict(key)


def _resolved(pattern: str, envelope: EventEnvelope) -> str:
    payload: Mapping[str, object] = envelope.payload

    def value_of(placeholder: re.Match[str]) -> str:
        value = payload.get(placeholder[1])
        if value is None:
            _logger.warning("Event %s has no %s to fill in %s", envelope.event_type, placeholder[1], pattern)
            return placeholder[0]
        return str(value)

    return _PLACEHOLDER.sub(value_of, pattern)
