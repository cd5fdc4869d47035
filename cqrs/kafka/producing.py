"""Lend out one aiokafka producer at a time, and replace it when it failed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from cqrs.kafka.closing import abandon_producer, ends_within

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Client:
    producer: AIOKafkaProducer
    users: int = 0
    retired: bool = False


class ProducerLine:
    """Make a producer when it is first needed, one however many ask at once, and let go of one that failed.

    It is closed when its last user has ended. What it had not delivered fails then: a message that was given up is not
    sent behind the caller's back.

    Args:
        make: Builds a producer that is not started.
    """

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self._make = make
        self._client: _Client | None = None
        self._opening = asyncio.Lock()
        self._closings: set[asyncio.Task[None]] = set()

    @property
    def users(self) -> int:
        """Return how many are using the present producer."""
        return self._client.users if self._client else 0

    async def open(self, deadline: float) -> None:
        """Connect, unless that is done.

        Raises:
            KafkaError: the broker cannot be reached.
            TimeoutError: it did not answer before the loop's time `deadline`.
        """
        await self._opened(deadline)

    @asynccontextmanager
    async def using(self, deadline: float) -> AsyncIterator[AIOKafkaProducer]:
        """Lend the producer for the block, until the loop's time `deadline`.

        Raises:
            KafkaError: the broker cannot be reached; so does the block, and the producer is not lent again.
            TimeoutError: the deadline passed; the same holds.
        """
        client = await self._opened(deadline)
        client.users += 1
        try:
            async with asyncio.timeout_at(deadline):
                yield client.producer
        except (KafkaError, OSError):
            client.retired = True
            if self._client is client:
                self._client = None
            raise
        finally:
            client.users -= 1
            if client.retired and not client.users:
                self._let_go(client)

    async def close(self, patience_seconds: float) -> None:
        """Wait for what is on its way, at most so long, and disconnect; harmless when called again."""
        async with self._opening:
            client, self._client = self._client, None
        try:
            if client is not None and not await ends_within(client.producer.stop(), patience_seconds):
                _log.warning("Kafka did not acknowledge all messages within %g s of the stop", patience_seconds)
        finally:
            if client is not None:
                await abandon_producer(client.producer)
        await asyncio.gather(*self._closings)

    async def _opened(self, deadline: float) -> _Client:
        async with asyncio.timeout_at(deadline), self._opening:
            if self._client is None:
                self._client = _Client(await self._connect())
            return self._client

    async def _connect(self) -> AIOKafkaProducer:
        producer = self._make()
        try:
            await producer.start()
        except BaseException:
            await abandon_producer(producer)
            raise
        return producer

    def _let_go(self, client: _Client) -> None:
        closing = asyncio.create_task(abandon_producer(client.producer))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)
