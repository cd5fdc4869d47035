"""Make cached answers stale when the service's own event topics say so, in every replica alike.

Each replica reads every event by itself, beside all consumer groups, from the moment it starts. What was cached before
that moment, by whomever, is forgotten: nobody here would have heard of its becoming stale.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cqrs.cache.adapter import QueryCacheAdapter
from cqrs.cache.eda_bridge import EdaCacheInvalidationBridge
from cqrs.command.metrics import MetricsRegistry
from cqrs.event.eda import EventEnvelope
from cqrs.exceptions import (
    DependencyUnavailableException,
    InvalidMessageException,
    UndecodableMessageException,
    is_retryable,
)
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.envelope import Envelope, read_envelope
from cqrs.messaging.message import Message
from cqrs.messaging.metrics import INVALIDATIONS
from cqrs.messaging.values import Values

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How long one poll waits."""

STEP_SECONDS = 10.0
"""How long decoding one event, and evicting for it, may take before it is tried again."""

CLEARING_SECONDS = 2.0
"""How long a start waits for the cache to be cleared; one that is away for longer is cleared when it is back."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold what one poll of a `TopicReader` brought.

    Attributes:
        messages: The next records, in order within each partition.
        missed: Whether records before these were not read: at the very first, and when the broker has deleted some.
    """

    messages: Sequence[Message] = ()
    missed: bool = False


class TopicReader(Protocol):
    """Read every record of some topics from now on, as a member of no group."""

    async def start(self) -> None:
        """Take every partition at its end.

        Raises:
            DependencyUnavailableException: the broker cannot be reached.
        """

    async def poll(self, timeout_seconds: float) -> Reading:
        """Return the next records; none when none came in time.

        Raises:
            DependencyUnavailableException: the broker is away; polling again goes on where reading stopped.
        """
        ...

    async def stop(self) -> None:
        """Close what is open; harmless when called again."""


class InvalidationFeed:
    """Read events and have the bridge evict what they make stale; nothing but `stop` ends it.

    An event that cannot be read is logged and counted. What needs something that is away is tried again until it is
    back, and no later event passes it; any other failure is given up after five tries.

    Args:
        reader: Where events come from.
        values: Decodes them.
        bridge: Knows what to evict for which event.
        cache: Is cleared when events were missed.
        metrics: Counts events by outcome.
        backoff: How long failed tries wait.
        settling: How long after an event the state it speaks of may not be readable yet.
    """

    def __init__(
        self,
        reader: TopicReader,
        values: Values,
        bridge: EdaCacheInvalidationBridge,
        cache: QueryCacheAdapter,
        *,
        metrics: MetricsRegistry,
        backoff: Backoff,
        settling: timedelta,
    ) -> None:
        self._reader = reader
        self._values = values
        self._bridge = bridge
        self._cache = cache
        self._metrics = metrics
        self._backoff = backoff
        self._settling = settling
        self._cleared = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take the topics at their end, clear the cache, and go on in a task of its own.

        Raises:
            DependencyUnavailableException: the broker cannot be reached.
        """
        await self._reader.start()
        self._running = asyncio.create_task(self._run(), name="cache invalidation")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEARING_SECONDS):
                await self._cleared.wait()

    async def stop(self) -> None:
        """End the task and close the reader; harmless when called again."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait({running})
        await self._reader.stop()

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                reading = await self._reader.poll(POLL_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, events must be read again
                await self._wait(attempt, error, "reading events is held")
                attempt += 1
                continue
            attempt = 0
            if reading.missed:
                await self._persist(self._cache.clear, "clearing the cache")
                self._cleared.set()
            for message in reading.messages:
                await self._settle(message)

    async def _settle(self, message: Message) -> None:
        outcome = "ignored"
        envelope = read_envelope(message)
        if envelope.type is None or self._bridge.has_rule_for(envelope.type):
            try:
                done = await self._persist(lambda: self._invalidate(message, envelope), f"evicting for {message.place}")
                outcome = "evicted" if done else "failed"
            except InvalidMessageException as error:
                logger.warning("%s is no event that can be read, so it evicts nothing: %s", message.place, error)
                outcome = "undecodable"
        self._metrics.increment(INVALIDATIONS, {"topic": message.topic, "outcome": outcome})

    async def _invalidate(self, message: Message, envelope: Envelope) -> None:
        self._values.check(message, envelope)
        payload = await self._values.parse(message, envelope, envelope.type)
        fields, name = payload.plain(), envelope.type or payload.type_name
        if not isinstance(fields, Mapping):
            raise UndecodableMessageException("its value is no object")
        if name is None:
            raise UndecodableMessageException("nothing says which event it is")
        event = EventEnvelope(name, fields, message.topic, event_id=envelope.id, timestamp=envelope.time)
        await self._bridge.on_envelope(event, settling=self._settling)

    async def _persist(self, deed: Callable[[], Awaitable[None]], what: str) -> bool:
        """Do it, again and again while it can succeed later; return whether it succeeded.

        Raises:
            InvalidMessageException: it never will.
        """
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await deed()
            except InvalidMessageException:
                raise
            except Exception as error:
                attempt += 1
                if attempt >= _TRIES and not (is_retryable(error) or isinstance(error, TimeoutError)):
                    logger.exception("%s is given up: cached answers may be stale until their time is over", what)
                    return False
                await self._wait(attempt - 1, error, f"{what} is held")
            else:
                return True

    async def _wait(self, attempt: int, error: Exception, what: str) -> None:
        seconds = self._backoff.delay(attempt)
        unexpected = None if isinstance(error, DependencyUnavailableException | TimeoutError) else error
        logger.warning("%s for %.1f s: %s", what, seconds, error or type(error).__name__, exc_info=unexpected)
        await asyncio.sleep(seconds)
