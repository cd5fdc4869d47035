"""One error of any kind, answered to any request: the same consumer is consuming again, and nothing was lost."""

import asyncio
import time
from collections.abc import Callable, Mapping
from itertools import count
from operator import attrgetter
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.api import Request

from cqrs.exceptions import DependencyUnavailableException
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

TOPIC = "orders.commands"
PLACES = [TopicPartition(TOPIC, number) for number in range(3)]
MakeProducer = Callable[..., KafkaProducer]
MakeConsumer = Callable[..., KafkaConsumer]

SESSION_SECONDS = 1.01
LONGEST_SECONDS = SESSION_SECONDS + 2
"""A second is the promise; the other one is for a machine that is busy with other tests: idle, 2.0 s are the most."""
CALM_SECONDS = 0.2

OUT_OF_RANGE, NOT_LEADER, LOADING, NOT_COORDINATOR, ILLEGAL_GENERATION, UNKNOWN_MEMBER = 1, 6, 14, 16, 22, 25
REBALANCING, TOPIC_DENIED, GROUP_DENIED, FENCED_INSTANCE, UNHEARD_OF, UNEXPECTED = 27, 29, 30, 82, 999, -1
UNKNOWN_TOPIC, NO_LEADER = 3, 5

ANYWHERE = (UNEXPECTED, LOADING, UNKNOWN_MEMBER, GROUP_DENIED, FENCED_INSTANCE, UNHEARD_OF)
CODES: Mapping[ApiKey, tuple[int, ...]] = {
    ApiKey.HEARTBEAT: (*ANYWHERE, NOT_COORDINATOR, ILLEGAL_GENERATION, REBALANCING),
    ApiKey.OFFSET_FETCH: (*ANYWHERE, NOT_COORDINATOR, UNKNOWN_TOPIC, TOPIC_DENIED),
    ApiKey.OFFSET_COMMIT: (*ANYWHERE, NOT_COORDINATOR, ILLEGAL_GENERATION, REBALANCING, TOPIC_DENIED),
    ApiKey.JOIN_GROUP: ANYWHERE,
    ApiKey.SYNC_GROUP: (UNEXPECTED, LOADING, UNKNOWN_MEMBER, GROUP_DENIED, REBALANCING),
    ApiKey.FIND_COORDINATOR: (UNEXPECTED, LOADING, GROUP_DENIED, UNHEARD_OF, NOT_COORDINATOR),
    ApiKey.FETCH: (UNEXPECTED, OUT_OF_RANGE, UNKNOWN_TOPIC, NOT_LEADER, TOPIC_DENIED, UNHEARD_OF),
    ApiKey.LIST_OFFSETS: (UNEXPECTED, UNKNOWN_TOPIC, NOT_LEADER, TOPIC_DENIED, UNHEARD_OF),
}
# What has a client that is at peace make the request at all.
REASONS: Mapping[ApiKey, tuple[ApiKey, int]] = {
    **dict.fromkeys(
        (ApiKey.OFFSET_FETCH, ApiKey.JOIN_GROUP, ApiKey.SYNC_GROUP, ApiKey.LIST_OFFSETS),
        (ApiKey.HEARTBEAT, REBALANCING),
    ),
    ApiKey.FIND_COORDINATOR: (ApiKey.HEARTBEAT, NOT_COORDINATOR),
}


class Answers:
    """Watch what brokers answer to whom."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def add(self, request: Request[Any], answer: object) -> None:
        self._found.append((request.API_KEY, repr(answer)))

    def count(self, api: ApiKey, code: int) -> int:
        return sum(
            f"error_code={code})" in text or f"error_code={code}," in text for key, text in self._found if key == api
        )


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    watched, send = Answers(), AIOKafkaConnection.send

    def sending(self: AIOKafkaConnection, request: Request[Any], expect_response: bool = True) -> object:
        answering = send(self, request, expect_response)

        async def noted() -> object:
            answer = await answering
            watched.add(request, answer)
            return answer

        return noted()

    monkeypatch.setattr(AIOKafkaConnection, "send", sending)
    return watched


class Service:
    """Send all the time, read all the time, commit what was read, and know what is missing."""

    def __init__(self, producer: KafkaProducer, consumer: KafkaConsumer) -> None:
        self._producer = producer
        self._consumer = consumer
        self._next: dict[TopicPartition, int] = {}
        self._numbers = count()
        self.sent: dict[tuple[int, int], float] = {}
        self.read: dict[tuple[int, int], float] = {}
        self.assignments: list[Mapping[TopicPartition, Position | None]] = []
        self.errors: list[str] = []

    async def on_assigned(self, committed: Mapping[TopicPartition, Position | None]) -> None:
        self.assignments.append(committed)
        self._next = {}

    async def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await self._commit()

    async def turn(self) -> None:
        receipt = await self._producer.send(OutgoingMessage(TOPIC, b"k", b"v", partition=next(self._numbers) % 2))
        self.sent[receipt.partition, receipt.offset] = time.monotonic()
        await self.poll()

    async def poll(self) -> None:
        try:
            messages = await self._consumer.poll(0.05)
        except DependencyUnavailableException as error:
            self.errors.append(str(error))
            await asyncio.sleep(0.01)
            return
        for message in messages:
            self.read.setdefault((message.partition, message.offset), time.monotonic())
            self._next[TopicPartition(TOPIC, message.partition)] = message.offset + 1
        await self._commit()

    async def _commit(self) -> None:
        try:
            await self._consumer.commit({place: Position(offset) for place, offset in self._next.items()})
        except DependencyUnavailableException as error:
            self.errors.append(str(error))

    async def catch_up(self) -> None:
        async with asyncio.timeout(20):
            while self.sent.keys() - self.read.keys():
                await self.poll()

    @property
    def longest_wait(self) -> float:
        return max(self.read[place] - sent for place, sent in self.sent.items())


@pytest.mark.asyncio
@pytest.mark.parametrize(("api", "code"), [(api, code) for api, codes in CODES.items() for code in codes])
async def test_one_error_is_recovered_from_in_time(
    broker: EmbeddedBroker,
    producers: MakeProducer,
    consumers: MakeConsumer,
    answers: Answers,
    api: ApiKey,
    code: int,
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    for _ in range(4):
        await service.turn()
    await service.catch_up()
    before = answers.count(api, code)
    broker.fail_requests(api, code)
    if api in REASONS:
        broker.fail_requests(*REASONS[api])
    async with asyncio.timeout(10):
        while answers.count(api, code) == before:
            await service.turn()
    calm_at = time.monotonic() + CALM_SECONDS
    while time.monotonic() < calm_at:
        await service.turn()
    await service.catch_up()
    assert answers.count(api, code) == before + 1
    assert service.longest_wait < LONGEST_SECONDS
    assert set(service.assignments[-1]) == set(PLACES)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [UNKNOWN_TOPIC, NO_LEADER, TOPIC_DENIED, UNEXPECTED, UNHEARD_OF])
@pytest.mark.parametrize("also_rebalancing", [False, True])
async def test_brokers_that_do_not_know_the_topic_for_a_moment_take_nothing_away(
    broker: EmbeddedBroker,
    producers: MakeProducer,
    consumers: MakeConsumer,
    answers: Answers,
    code: int,
    also_rebalancing: bool,
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    for _ in range(4):
        await service.turn()
    broker.fail_topic(TOPIC, code)
    broker.fail_requests(ApiKey.FETCH, NOT_LEADER)  # has it ask
    if also_rebalancing:
        broker.fail_requests(ApiKey.HEARTBEAT, REBALANCING)
    async with asyncio.timeout(10):
        while not answers.count(ApiKey.METADATA, code) or also_rebalancing > answers.count(
            ApiKey.HEARTBEAT, REBALANCING
        ):
            await service.poll()
    await service.poll()
    broker.fail_topic(TOPIC, 0)
    began = time.monotonic()
    await service.turn()
    await service.catch_up()
    assert time.monotonic() - began < LONGEST_SECONDS
    assert all(set(each) == set(PLACES) for each in service.assignments)


@pytest.mark.asyncio
async def test_what_is_not_allowed_is_said_and_asked_for_ever_less_often(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, answers: Answers
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    broker.fail_requests(ApiKey.HEARTBEAT, GROUP_DENIED)
    broker.fail_requests(ApiKey.JOIN_GROUP, *[GROUP_DENIED] * 1_000)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        await service.poll()
    assert 3 <= answers.count(ApiKey.JOIN_GROUP, GROUP_DENIED) <= 8
    assert len(service.errors) > 10, "every poll says why there is nothing"
    assert all("not allowed (GROUP_AUTHORIZATION_FAILED)" in each for each in service.errors)
    assert service.errors[-1].endswith("have the brokers allow READ on group orders")
    broker.clear_failures(ApiKey.JOIN_GROUP)
    await service.turn()
    await service.catch_up()


@pytest.mark.asyncio
async def test_a_topic_that_may_not_be_read_is_named(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    broker.fail_topic(TOPIC, TOPIC_DENIED)
    with pytest.raises(DependencyUnavailableException, match=f"not allowed .* on topic {TOPIC}"):
        await consumer.start(service)
    broker.fail_topic(TOPIC, 0)
    await consumer.start(service)
    broker.fail_requests(ApiKey.FETCH, TOPIC_DENIED)
    with pytest.raises(DependencyUnavailableException, match=f"not allowed .* on topic {TOPIC}"):
        await consumer.poll(2)
    await service.turn()
    await service.catch_up()


@pytest.mark.asyncio
async def test_a_partition_that_is_answered_with_errors_is_reported_and_not_asked_for_without_a_pause(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, answers: Answers
) -> None:
    consumer = consumers(silence_seconds=0.3)
    service = Service(producers(), consumer)
    await consumer.start(service)
    broker.fail_requests(ApiKey.FETCH, *[UNHEARD_OF] * 1_000)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        await service.poll()
    assert answers.count(ApiKey.FETCH, UNHEARD_OF) <= 12
    assert f"({TOPIC}[" in service.errors[-1]
    assert "UnknownError" in service.errors[-1]
    broker.clear_failures(ApiKey.FETCH)
    await service.turn()
    await service.catch_up()


@pytest.mark.asyncio
async def test_positions_that_nobody_will_tell_are_never_made_up(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    consumer = consumers(start_timeout_seconds=1.0, request_timeout_seconds=0.3)
    service = Service(producers(), consumer)
    broker.fail_requests(ApiKey.OFFSET_FETCH, *[LOADING] * 1_000)
    with pytest.raises(DependencyUnavailableException, match="no answer in time"):
        await consumer.start(service)
    assert service.assignments == []
    broker.clear_failures(ApiKey.OFFSET_FETCH)
    await consumer.start(service)
    await service.turn()
    await service.catch_up()


@pytest.mark.asyncio
async def test_a_position_that_the_broker_refuses_twice_is_given_up_for_the_first_there_is(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    for _ in range(4):
        await service.turn()
    await service.catch_up()
    broker.fail_requests(ApiKey.FETCH, OUT_OF_RANGE)
    async with asyncio.timeout(10):
        while len(service.assignments) < 2:
            await service.poll()
        broker.fail_requests(ApiKey.FETCH, OUT_OF_RANGE)
        while len(service.assignments) < 3:
            await service.poll()
    assert service.assignments[1] == {PLACES[0]: Position(2), PLACES[1]: Position(2), PLACES[2]: None}
    assert service.assignments[2] == dict.fromkeys(PLACES)
    assert "where the group stands" in caplog.text
    await service.turn()
    await service.catch_up()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "task",
    ["_coordinator._coordination_task", "_coordinator._heartbeat_task", "_client._sync_task", "_fetcher._fetch_task"],
)
async def test_a_task_of_the_client_that_ended_without_a_word_is_noticed(
    producers: MakeProducer, consumers: MakeConsumer, task: str
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    await service.turn()
    assert consumer._line is not None
    running = attrgetter(task)(consumer._line._client)
    running.cancel()
    await asyncio.wait({running})
    await service.turn()
    await service.catch_up()
    assert service.longest_wait < LONGEST_SECONDS
    assert "a task of the client has ended" in service.errors[0]
    assert len(service.assignments) == 2


@pytest.mark.asyncio
async def test_who_could_not_say_that_it_leaves_comes_back_as_the_same_member(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, answers: Answers
) -> None:
    consumer = consumers(session_timeout_seconds=SESSION_SECONDS)
    service = Service(producers(), consumer)
    await consumer.start(service)
    assert consumer._line is not None
    before = consumer._line._client.member_id
    broker.fail_requests(ApiKey.HEARTBEAT, NOT_COORDINATOR)
    broker.fail_requests(ApiKey.FIND_COORDINATOR, UNEXPECTED)
    async with asyncio.timeout(10):
        while not answers.count(ApiKey.FIND_COORDINATOR, UNEXPECTED):
            await service.poll()
    await service.turn()
    await service.catch_up()
    assert len(service.assignments) == 2
    assert before
    assert consumer._line._client.member_id == before


@pytest.mark.asyncio
@pytest.mark.parametrize("fails", [False, True])
async def test_a_poll_does_not_wait_for_a_long_joining_and_a_stop_ends_it(
    broker: EmbeddedBroker, consumers: MakeConsumer, producers: MakeProducer, fails: bool
) -> None:
    consumer = consumers(session_timeout_seconds=10, silence_seconds=0.3, start_timeout_seconds=20)
    await consumer.start(Service(producers(), consumer))
    assert consumer._line is not None
    attrgetter("_fetcher._fetch_task")(consumer._line._client).cancel()
    assert "reading" in await why_not(consumer)
    broker.delay_answers(60_000)
    began = time.monotonic()
    assert not await consumer.poll(0.1)
    assert "has taken 0." in await why_not(consumer)
    if fails:
        assert consumer._joining is not None
        broker.broker_down()
        await asyncio.wait({consumer._joining})
    await consumer.stop()
    assert time.monotonic() - began < 5
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def why_not(consumer: KafkaConsumer) -> str:
    """Poll until that is an error, and return what it says."""
    async with asyncio.timeout(5):
        while True:
            try:
                await consumer.poll(0.1)
            except DependencyUnavailableException as error:
                return str(error)
