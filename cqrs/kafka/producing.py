"""Lend out one aiokafka producer at a time, and replace it when it failed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType

from aiokafka import AIOKafkaProducer

from cqrs.kafka.closing import abandon_producer
from cqrs.kafka.failures import FAILURES


@dataclass(slots=True, eq=False)
class Client:
    """Hold a producer while it is lent.

    Attributes:
        producer: The producer.
        users: How many are using it.
        retired: Whether it is not lent again, and closed when its last user has ended.
    """

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
        self._client: Client | None = None
        self.producer: AIOKafkaProducer | None = None
        """The producer that is lent at present, or None."""
        self._opening = asyncio.Lock()
        self._closings: set[asyncio.Task[None]] = set()

    async def open(self, deadline: float) -> None:
        """Connect, unless that is done.

        Raises:
            KafkaError: the broker cannot be reached.
            TimeoutError: it did not answer before the loop's time `deadline`.
        """
        await self._opened(deadline)

    def using(self, deadline: float) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        """Lend the producer for the block; it must be connected by the loop's time `deadline`.

        Raises:
            KafkaError: the broker cannot be reached; or the block raised it, and the producer is not lent again.
            TimeoutError: the deadline passed; or the block raised it, and the same holds.
        """
        return _Loan(self, deadline)

    async def borrow(self, deadline: float) -> Client:
        """Connect, unless that is done, and count one user more; see `using`, which is safer."""
        client = self._client or await self._opened(deadline)
        client.users += 1
        return client

    def give_back(self, client: Client, *, failed: bool) -> None:
        """Count one user less; a client that failed is not lent again."""
        client.users -= 1
        client.retired = client.retired or failed
        if not client.retired:
            return
        if self._client is client:
            self._client = self.producer = None
        if not client.users:
            self._let_go(client)

    async def close(self) -> None:
        """Disconnect; what is still on its way fails. Harmless when called again."""
        async with self._opening:
            client, self._client, self.producer = self._client, None, None
        if client is not None:
            await abandon_producer(client.producer)
        await asyncio.gather(*self._closings)

    async def _opened(self, deadline: float) -> Client:
        async with asyncio.timeout_at(deadline), self._opening:
            if self._client is None:
                self._client = Client(await self._connect())
                self.producer = self._client.producer
            return self._client

    async def _connect(self) -> AIOKafkaProducer:
        producer = self._make()
        try:
            await producer.start()
        except BaseException:
            await abandon_producer(producer)
            raise
        return producer

    def _let_go(self, client: Client) -> None:
        closing = asyncio.create_task(abandon_producer(client.producer))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


class _Loan(AbstractAsyncContextManager[AIOKafkaProducer]):
    def __init__(self, line: ProducerLine, deadline: float) -> None:
        self._line = line
        self._deadline = deadline

    async def __aenter__(self) -> AIOKafkaProducer:
        self._client = await self._line.borrow(self._deadline)
        return self._client.producer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.give_back(self._client, failed=isinstance(error, FAILURES))


class Producers:
    """Lend the producer of the usual messages, or the one of the large ones, to one large message at a time.

    aiokafka puts a batch of every partition of a broker into one request, and a broker closes the connection on a
    request that is too large.
    """

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self.usual = ProducerLine(make)
        self.for_large = ProducerLine(make)
        self._turn = asyncio.Lock()

    def using(self, deadline: float, *, large: bool) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        """Lend one for the block, as `ProducerLine.using` does."""
        return self._using_for_large(deadline) if large else self.usual.using(deadline)

    @asynccontextmanager
    async def _using_for_large(self, deadline: float) -> AsyncIterator[AIOKafkaProducer]:
        async with asyncio.timeout_at(deadline):
            await self._turn.acquire()
        try:
            async with self.for_large.using(deadline) as producer:
                yield producer
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Disconnect; what is still on its way fails. Harmless when called again."""
        await asyncio.gather(self.usual.close(), self.for_large.close())
