"""The cache of a running service: opened as the settings say, and kept fresh by the service's own events."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from cqrs.cache.adapter import CacheAdapter, QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.cache.opening import opened_cache
from cqrs.command.metrics import MetricsRegistry
from cqrs.command.registry import HandlerRegistry
from cqrs.config.settings import ServiceSettings
from cqrs.container import Container
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.invalidation import InvalidationFeed, TopicReader
from cqrs.messaging.values import Values
from cqrs.query.kept_types import kept_types
from cqrs.query.staleness import register_rules


async def open_cache(settings: ServiceSettings, closing: AsyncExitStack) -> dict[type, object]:
    """Return the cache that CACHE_URL names, by the type under which the container holds it; nothing without one.

    Raises:
        ConfigurationException: the client library for it is not installed.
    """
    url = settings.cache_url
    if url is None:
        return {}
    return {CacheAdapter: await closing.enter_async_context(opened_cache(url.get_secret_value()))}


@dataclass(frozen=True, slots=True)
class EventFeed:
    """Hold what keeping the cache fresh takes beside the beans of the container.

    Attributes:
        reader: Reads the topics that the service's own handlers publish to; None when they publish nothing.
        values: Decodes their events.
        metrics: Counts them.
    """

    reader: TopicReader | None
    values: Values
    metrics: MetricsRegistry


async def keep_fresh(settings: ServiceSettings, container: Container, feed: EventFeed, closing: AsyncExitStack) -> None:
    """Let the bridge hear every event of the service from now on, whichever replica publishes it.

    Nothing is read when there is no cache, whether from the settings or from a `CacheAdapter` of the service's own.

    Raises:
        ConfigurationException: an answer that is to be cached cannot be written and read back.
        DependencyUnavailableException: the broker cannot be reached.
    """
    cache = await container.get(QueryCacheAdapter)
    bridge = await container.find(EdaCacheInvalidationBridge)
    if bridge is None or not cache.is_available or not settings.cqrs.query.caching_enabled:
        return
    queries = (await container.get(HandlerRegistry)).query_registrations()
    cache.accept_types(kept_types(queries))
    register_rules(queries, bridge)
    if feed.reader is None:
        return
    invalidation = InvalidationFeed(
        feed.reader,
        feed.values,
        bridge,
        cache,
        metrics=feed.metrics,
        backoff=Backoff(settings.retry_backoff_min_ms / 1000, settings.retry_backoff_max_ms / 1000),
        settling=timedelta(milliseconds=settings.cache_settle_ms),
    )
    closing.push_async_callback(invalidation.stop)
    await invalidation.start()
