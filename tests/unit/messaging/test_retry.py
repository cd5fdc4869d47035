"""What follows a failed try is told by the error's class, and bounded in number and time."""

from collections.abc import Callable

import pytest

from cqrs.delivery import DeadLetter, Retry, Skip
from cqrs.exceptions import (
    BrokenOffException,
    CommandProcessingException,
    DependencyUnavailableException,
    PossiblyUnavailableException,
    UndecodableMessageException,
    UnpublishableEventException,
)
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, TryAgainException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.failures import Failures
from cqrs.messaging.message import Headers, Message, OutgoingMessage
from cqrs.messaging.retry import Retries, RetriesExhaustedException, RetryPolicy, retry
from cqrs.messaging.retry_topics import ATTEMPTS, BACKOFF_TIMESTAMP, ORIGINAL_TIMESTAMP, RetryTopics
from cqrs.testing.memory import MemoryBroker, MemoryProducer

NOW = 1_700_000_000.0
POLICY = RetryPolicy(max_attempts=3, max_seconds=60.0)


class Busy(Exception):
    """Be an error of a client library that knows nothing of this package."""


class Transient(Exception):
    retryable = True


class Special:
    """Be a command type whose handler has a policy of its own."""


class Plan:
    """Know one command topic with two retry topics."""

    topics = ("c-retry-1000", "c-retry-60000")

    def __init__(self, *, on: bool = True) -> None:
        self._on = on

    def retry_topics(self, source: str) -> tuple[str, ...]:
        return self.topics if self._on and source == "c" else ()

    def source_of(self, topic: str) -> str:
        return "c" if topic in self.topics else topic

    def delay_seconds(self, topic: str) -> float:
        return {"c-retry-1000": 1.0, "c-retry-60000": 60.0}.get(topic, 0.0)


class World:
    def __init__(self, *, retry_topics: bool = False) -> None:
        self.now = 100.0
        self.broker = MemoryBroker({"c": 2, "c-retry-1000": 2, "c-retry-60000": 2})
        self.producer = MemoryProducer(self.broker)
        self.topics = RetryTopics(self.producer, Plan(on=retry_topics), "group", lambda: NOW)
        self.retries = Retries(
            Failures((Busy,)),
            POLICY,
            {Special: RetryPolicy(1, 60.0, "halt_key")},
            Backoff(1.0, 8.0, uniform=lambda low, high: high),
            self.topics,
            lambda: self.now,
        )

    async def handle(self, delivery: Delivery, error: Exception | None) -> Outcome:
        async def handler(_: Delivery) -> Outcome:
            if error is not None:
                raise error
            return HANDLED

        return await retry(self.retries)(handler)(delivery)

    async def again(self, delivery: Delivery, error: Exception) -> TryAgainException:
        with pytest.raises(TryAgainException) as raised:
            await self.handle(delivery, error)
        return raised.value


def delivery(topic: str = "c", headers: Headers = (), **fields: object) -> Delivery:
    message = Message(topic, 1, 7, b"key", b"value", headers, timestamp_ms=int(NOW * 1000))
    return Delivery(message, read_envelope(message))._replace(**fields)  # type: ignore[arg-type]


def failed(cause: Exception, command_type: type = object) -> CommandProcessingException:
    """Return what the bus makes of `cause`."""
    return CommandProcessingException("failed", command_type=command_type, cause=cause)


def nested(cause: Exception) -> CommandProcessingException:
    """Return what the buses make of `cause`, when another command's handler sent the failing one."""
    return failed(failed(cause))


@pytest.mark.asyncio
async def test_what_succeeds_is_handled() -> None:
    assert await World().handle(delivery(), None) is HANDLED


@pytest.mark.parametrize("wrap", [lambda error: error, failed, nested], ids=["bare", "wrapped", "wrapped twice"])
@pytest.mark.parametrize("cause", [Transient(), ConnectionError("reset"), TimeoutError(), Busy("locked")], ids=repr)
@pytest.mark.asyncio
async def test_a_transient_failure_is_tried_again_and_spends_an_attempt(
    cause: Exception, wrap: Callable[[Exception], Exception]
) -> None:
    again = await World().again(delivery(attempt=1), wrap(cause))
    assert (again.spent, again.waits_for) == (True, None)
    assert again.after == 2.0, "the second wait is twice the first one"


@pytest.mark.asyncio
async def test_a_dependency_that_is_down_spends_nothing_and_is_named() -> None:
    again = await World().again(delivery(attempt=2, waits=2), failed(DependencyUnavailableException("database", "no")))
    assert (again.spent, again.waits_for, again.after) == (False, "database", 4.0)


@pytest.mark.asyncio
async def test_what_may_be_the_records_own_fault_is_held_and_its_partition_read_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = failed(PossiblyUnavailableException("database", "took too long"))
    again = await World().again(delivery(attempt=2, waits=2), error)
    assert (again.spent, again.waits_for, again.is_outage, again.after) == (False, "database", False, 4.0)
    assert "c[1]@7 is held, its partition is read on" in caplog.text


@pytest.mark.asyncio
async def test_what_was_broken_off_beside_others_spends_its_attempts() -> None:
    error = failed(BrokenOffException("database", "took too long"))
    assert (await World().again(delivery(attempt=1), error)).spent
    with pytest.raises(RetriesExhaustedException, match="after 3 attempts"):
        await World().handle(delivery(attempt=2), error)


@pytest.mark.parametrize("error", [failed(ValueError("x")), UndecodableMessageException("x"), KeyError("x")], ids=repr)
@pytest.mark.asyncio
async def test_what_can_never_succeed_is_given_on_at_once(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        await World().handle(delivery(), error)
    assert raised.value is error


@pytest.mark.asyncio
async def test_attempts_are_bounded_in_number() -> None:
    world = World()
    assert (await world.again(delivery(attempt=1), Transient())).spent
    with pytest.raises(RetriesExhaustedException, match="given up after 3 attempts"):
        await world.handle(delivery(attempt=2), Transient())


@pytest.mark.asyncio
async def test_attempts_are_bounded_in_time() -> None:
    world = World()
    assert (await world.again(delivery(attempt=1, failed_at=world.now - 59.9), Transient())).spent
    with pytest.raises(RetriesExhaustedException):
        await world.handle(delivery(attempt=1, failed_at=world.now - 60.0), Transient())


@pytest.mark.asyncio
async def test_a_handler_may_have_a_policy_of_its_own() -> None:
    with pytest.raises(RetriesExhaustedException) as raised:
        await World().handle(delivery(), failed(Transient(), Special))
    assert raised.value.halts == "first"


@pytest.mark.asyncio
async def test_a_handler_may_choose_when_to_be_tried_again() -> None:
    again = await World().again(delivery(), failed(Retry(after=17.5)))
    assert (again.after, again.spent) == (17.5, True)


@pytest.mark.asyncio
async def test_a_wait_that_ends_beyond_the_policys_time_is_not_begun() -> None:
    with pytest.raises(RetriesExhaustedException):
        await World().handle(delivery(), failed(Retry(after=61.0)))


@pytest.mark.asyncio
async def test_a_handlers_own_attempts_are_bounded_too() -> None:
    with pytest.raises(RetriesExhaustedException):
        await World().handle(delivery(attempt=2), failed(Retry()))


@pytest.mark.asyncio
async def test_a_handler_may_skip_its_record() -> None:
    outcome = await World().handle(delivery(), failed(Skip("seen elsewhere")))
    assert (outcome.name, str(outcome.error)) == ("skipped", "seen elsewhere")


@pytest.mark.asyncio
async def test_a_handler_may_put_its_record_aside_at_once() -> None:
    with pytest.raises(CommandProcessingException):
        await World(retry_topics=True).handle(delivery(), failed(DeadLetter("no such customer")))


@pytest.mark.parametrize("verdict", [Skip("nothing to do"), DeadLetter("no such customer")], ids=repr)
@pytest.mark.asyncio
async def test_what_another_commands_handler_chose_decides_nothing_over_this_record(verdict: Exception) -> None:
    with pytest.raises(CommandProcessingException):
        await World().handle(delivery(), nested(verdict))


@pytest.mark.asyncio
async def test_a_nested_retry_is_a_transient_failure_at_the_records_own_pace() -> None:
    again = await World().again(delivery(), nested(Retry(after=17.5)))
    assert (again.after, again.spent) == (1.0, True)


@pytest.mark.asyncio
async def test_a_delivery_whose_fate_is_known_is_not_run_again() -> None:
    refusal = ValueError("known")
    with pytest.raises(ValueError, match="known") as raised:
        await World().handle(delivery(refusal=refusal), None)
    assert raised.value is refusal


def number(headers: Headers, name: str) -> int:
    [value] = [value for key, value in headers if key == name]
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


@pytest.mark.asyncio
async def test_where_a_team_chose_retry_topics_a_failed_record_waits_there_with_springs_headers() -> None:
    world = World(retry_topics=True)
    outcome = await world.handle(delivery(), Transient("x"))
    assert (outcome.name, outcome.topic) == ("retried_later", "c-retry-1000")
    [stored] = world.broker.messages("c-retry-1000")
    assert (stored.partition, stored.key, stored.value) == (1, b"key", b"value")
    assert dict(stored.headers)[ATTEMPTS] == b"\x00\x00\x00\x01"
    assert dict(stored.headers)[BACKOFF_TIMESTAMP] == int((NOW + 1) * 1000).to_bytes(6, "big")
    assert number(stored.headers, ORIGINAL_TIMESTAMP) == int(NOW * 1000)
    assert dict(stored.headers)["kafka_dlt-original-topic"] == b"c"


@pytest.mark.asyncio
async def test_the_next_failure_goes_to_the_next_topic_and_replaces_the_headers() -> None:
    world = World(retry_topics=True)
    await world.handle(delivery(), Transient("x"))
    [first] = world.broker.messages("c-retry-1000")
    again = delivery("c-retry-1000", (*first.headers[:-2], (BACKOFF_TIMESTAMP, b"\x01"), first.headers[-1]))
    assert (await world.handle(again, Transient("y"))).topic == "c-retry-60000"
    [second] = world.broker.messages("c-retry-60000")
    assert number(second.headers, ATTEMPTS) == 2
    assert dict(second.headers)["kafka_dlt-original-topic"] == b"c"
    assert len(second.headers) == len(dict(second.headers)), "each header stands there once"


@pytest.mark.asyncio
async def test_after_the_last_retry_topic_a_record_is_given_up() -> None:
    world = World(retry_topics=True)
    last = delivery("c-retry-60000", ((ATTEMPTS, b"\0\0\0\x01"), (BACKOFF_TIMESTAMP, b"\x01")))
    with pytest.raises(RetriesExhaustedException, match="given up after 2 attempts"):
        await world.handle(last, Transient())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (((BACKOFF_TIMESTAMP, int((NOW + 30) * 1000).to_bytes(6, "big")),), 30.0),
        ((), 60.0),
        (((BACKOFF_TIMESTAMP, b"not a number at all"),), 60.0),
        (((BACKOFF_TIMESTAMP, (2**62).to_bytes(8, "big")),), 86_400.0),
    ],
    ids=["as written", "by the topic's delay", "unreadable", "absurd"],
)
@pytest.mark.asyncio
async def test_a_record_of_a_retry_topic_waits_for_its_time_and_spends_nothing(header: Headers, seconds: float) -> None:
    again = await World(retry_topics=True).again(delivery("c-retry-60000", header), ValueError("not run"))
    assert (again.after, again.spent, again.waits_for) == (seconds, False, None)


@pytest.mark.asyncio
async def test_a_retry_topic_that_cannot_be_written_to_holds_the_record() -> None:
    world = World(retry_topics=True)
    world.producer.failures.append(DependencyUnavailableException("kafka", "no answer"))
    again = await world.again(delivery(), Transient())
    assert (again.spent, again.waits_for) == (False, "kafka")


@pytest.mark.asyncio
async def test_a_retry_topic_that_refuses_the_record_leaves_it_to_the_dead_letters() -> None:
    world = World(retry_topics=True)
    world.producer.failures.append(UnpublishableEventException("too large"))
    with pytest.raises(UnpublishableEventException):
        await world.handle(delivery(), Transient())


def test_headers_of_a_plain_topic_spend_nothing() -> None:
    world = World(retry_topics=True)
    message = OutgoingMessage("c", None, None, ((ATTEMPTS, b"\0\0\0\x63"),))
    assert world.topics.attempts(Message("c", 0, 0, None, None, message.headers)) == 0
