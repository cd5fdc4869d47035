"""A statement that never ends holds up its own key alone: given up while others commit, kept while none does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from sqlalchemy import text

from cqrs.messaging.backoff import Backoff
from cqrs.messaging.dead_letters import DeadLetters, dead_letter
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, fold
from cqrs.messaging.failures import Failures
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.retry import Retries, RetryPolicy, retry
from cqrs.messaging.retry_topics import RetryTopics
from cqrs.messaging.room import Limits
from cqrs.messaging.subscriber import Subscriber
from cqrs.sql.engine import EngineOptions, create_engine
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.testing.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from cqrs.testing.postgres_server import PostgresServer, find_postgres

pytestmark = [pytest.mark.asyncio, pytest.mark.postgres]

RECORDS = 300
LIMITS = Limits(max_in_flight=10, buffer=50, max_poll_records=25)
ATTEMPTS = 3
ENDLESS, SHORT = text("SELECT pg_sleep(60)"), text("UPDATE counters SET value = value + 1")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install -y postgresql)")
    with PostgresServer() as started:
        yield started


class NoRetryTopics:
    def retry_topics(self, source: str) -> tuple[str, ...]:
        return ()

    def source_of(self, topic: str) -> str:
        return topic

    def delay_seconds(self, topic: str) -> float:
        return 0.0


class Commands:
    """Be a consumer of commands, each a transaction; that of the key `poison` runs past the limit of statements."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, EngineOptions(statement_timeout=0.3))
        self.work = SqlUnitOfWork(self.engine)
        self.broker = MemoryBroker({"c": 1, "c-dlt": 1})
        self.done = 0
        self.tries = 0
        self.all_done = asyncio.Event()
        self.tried_often = asyncio.Event()

    async def handle(self, delivery: Delivery) -> Outcome:
        self.tries += 1
        if self.tries == 3 * LIMITS.max_in_flight:
            self.tried_often.set()
        async with self.work.begin():
            await self.work.session.execute(ENDLESS if delivery.message.key == b"poison" else SHORT)
        self.done += 1
        if self.done == RECORDS:
            self.all_done.set()
        return HANDLED

    def letters(self) -> list[bytes | None]:
        return [each.key for each in self.broker.messages("c-dlt")]

    async def append(self, *keys: bytes) -> None:
        for key in keys:
            await self.broker.append(OutgoingMessage("c", key, b"v"))

    @asynccontextmanager
    async def consumed(self) -> AsyncIterator[Subscriber]:
        producer, backoff = MemoryProducer(self.broker), Backoff(0.01, 0.05)
        topics = RetryTopics(producer, NoRetryTopics(), "g")
        retries = Retries(Failures(), RetryPolicy(ATTEMPTS, 60.0), {}, backoff, topics)
        letters = DeadLetters(producer, "g", lambda topic: f"{topic}-dlt")
        handle = fold([dead_letter(letters, backoff), retry(retries)], self.handle)
        subscriber = Subscriber(MemoryConsumer(self.broker, ["c"]), handle, backoff=backoff, limits=LIMITS)
        task = asyncio.create_task(subscriber.run())
        try:
            yield subscriber
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest_asyncio.fixture
async def commands(server: PostgresServer) -> AsyncIterator[Commands]:
    commands = Commands(server.url())
    async with commands.work.begin():
        await commands.work.session.execute(text("DROP TABLE IF EXISTS counters"))
        await commands.work.session.execute(text("CREATE TABLE counters (value INTEGER)"))
    yield commands
    await commands.engine.dispose()


async def test_it_is_given_up_after_its_attempts_while_others_commit(commands: Commands) -> None:
    """More records than the buffer holds come behind it, and go on coming: its partition is read on."""
    await commands.append(b"poison", *(b"k%d" % (number % 20) for number in range(RECORDS)))

    async with commands.consumed():
        await asyncio.wait_for(commands.all_done.wait(), 30)
        async with asyncio.timeout(30):
            while not commands.letters():
                await commands.append(b"later")
                await asyncio.sleep(0.05)  # the pace of the traffic beside it

    assert commands.letters() == [b"poison"]


async def test_nothing_is_refused_and_no_attempt_spent_while_nobody_commits(
    server: PostgresServer, commands: Commands
) -> None:
    """A lock on the table stands for a database that answers, and finishes nothing."""
    administrator = create_engine(server.url())
    async with commands.consumed() as subscriber:
        async with administrator.begin() as connection:
            await connection.execute(text("LOCK TABLE counters"))
            await commands.append(*(b"k%d" % (number % 20) for number in range(RECORDS)))
            await asyncio.wait_for(commands.tried_often.wait(), 30)
            assert commands.done == 0
            assert subscriber.waiting_for is None  # this alone does not make it unready
        await asyncio.wait_for(commands.all_done.wait(), 30)
    await administrator.dispose()

    assert commands.letters() == []
