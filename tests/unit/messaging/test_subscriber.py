"""A record is settled before its offset moves, whatever raises, is away, is revoked or is stopped."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging import workers
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.delivery import HANDLED, Delivery, DeliveryHandler, Outcome
from cqrs.messaging.message import OutgoingMessage, Position, TopicPartition
from cqrs.messaging.subscriber import Subscriber
from cqrs.testing.memory import MemoryBroker, MemoryConsumer

P0, P1 = TopicPartition("c", 0), TopicPartition("c", 1)
AWAY = DependencyUnavailableException("kafka", "away")


class Recorder:
    """Handle deliveries: remember them, fail as told, wait where told."""

    def __init__(self) -> None:
        self.seen: list[bytes | None] = []
        self.waits: list[int] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __call__(self, delivery: Delivery) -> Outcome:
        self.entered.set()
        self.waits.append(delivery.waits)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        async with self._changed:
            self.seen.append(delivery.message.value)
            self._changed.notify_all()
        return HANDLED

    async def until(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.seen) >= count)


def subscriber(consumer: MemoryConsumer, handle: DeliveryHandler) -> Subscriber:
    return Subscriber(consumer, handle, backoff=Backoff(0.001, 0.001), commit_seconds=0.0)


@asynccontextmanager
async def running(member: Subscriber) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(member.run())
    try:
        await member.assigned.wait()
        yield task
    finally:
        member.stop()
        await asyncio.wait_for(task, 5)


async def fill(broker: MemoryBroker, *values: bytes, partition: int = 0) -> None:
    for value in values:
        await broker.append(OutgoingMessage("c", None, value, partition=partition))


@pytest.mark.asyncio
async def test_records_are_settled_in_order_and_committed_behind() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    async with running(subscriber(MemoryConsumer(broker, ["c"]), recorder)):
        await fill(broker, b"1", b"2", b"3")
        await recorder.until(3)

    assert recorder.seen == [b"1", b"2", b"3"]
    assert broker.committed == {P0: Position(3)}


@pytest.mark.asyncio
async def test_a_delivery_that_raises_is_tried_again_and_nothing_passes_it() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    recorder.failures = [AWAY, ValueError("a bug in the stack"), AWAY]
    await fill(broker, b"1", b"2")
    async with running(subscriber(MemoryConsumer(broker, ["c"]), recorder)):
        await recorder.until(2)

    assert recorder.seen == [b"1", b"2"]
    assert recorder.waits == [0, 1, 2, 3, 0]


@pytest.mark.asyncio
async def test_a_stop_leaves_a_held_record_uncommitted() -> None:
    broker = MemoryBroker({"c": 1})
    await fill(broker, b"1", b"2")
    first_done = asyncio.Event()

    async def first_then_fail(delivery: Delivery) -> Outcome:
        if delivery.message.value == b"2":
            first_done.set()
            raise AWAY
        return HANDLED

    member = Subscriber(MemoryConsumer(broker, ["c"]), first_then_fail, backoff=Backoff(3600, 3600), commit_seconds=0.0)
    async with running(member):
        await first_done.wait()

    assert broker.committed == {P0: Position(1)}


@pytest.mark.asyncio
async def test_what_it_waits_for_is_told_and_forgotten_when_it_is_back() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    held = asyncio.Event()
    member: Subscriber

    async def handle(delivery: Delivery) -> Outcome:
        if delivery.waits == 0:
            raise AWAY
        assert member.waiting_for == f"1 record waits for kafka: {AWAY}"
        held.set()
        return await recorder(delivery)

    member = subscriber(MemoryConsumer(broker, ["c"]), handle)
    async with running(member):
        await fill(broker, b"1")
        await held.wait()
        await recorder.until(1)
    assert member.waiting_for is None


@pytest.mark.asyncio
async def test_stop_finishes_the_record_in_hand_commits_it_and_starts_no_other() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    recorder.gate.clear()
    await fill(broker, b"1", b"2")
    member = subscriber(MemoryConsumer(broker, ["c"]), recorder)
    async with running(member):
        await recorder.entered.wait()
        member.stop()
        recorder.gate.set()

    assert recorder.seen == [b"1"]
    assert broker.committed == {P0: Position(1)}


@pytest.mark.asyncio
async def test_revocation_waits_for_the_record_in_hand_and_commits_it() -> None:
    broker, recorder = MemoryBroker({"c": 2}), Recorder()
    recorder.gate.clear()
    await fill(broker, b"1", b"2")
    consumer = MemoryConsumer(broker, ["c"])
    async with running(subscriber(consumer, recorder)):
        await recorder.entered.wait()
        rebalance = asyncio.create_task(consumer.reassign(frozenset({P1})))
        await asyncio.sleep(0)
        assert not rebalance.done(), "the partition is kept until its record is settled"
        recorder.gate.set()
        await rebalance

        assert broker.committed == {P0: Position(1)}
        assert recorder.seen == [b"1"], "what was read but not begun goes to the next owner"


@pytest.mark.asyncio
async def test_records_read_before_a_rebalance_are_not_run_after_it() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    recorder.gate.clear()
    await fill(broker, b"1", b"2", b"3")
    consumer = MemoryConsumer(broker, ["c"])
    async with running(subscriber(consumer, recorder)):
        await recorder.entered.wait()
        rebalance = asyncio.create_task(consumer.reassign(frozenset({P0})))
        await asyncio.sleep(0)
        recorder.gate.set()
        await rebalance
        await recorder.until(3)

    assert recorder.seen == [b"1", b"2", b"3"], "2 and 3 run once: as records of the new assignment"


@pytest.mark.asyncio
async def test_a_record_that_outlives_the_drain_is_left_to_the_new_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ABANDON_SECONDS", 0.0)
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    recorder.gate.clear()
    await fill(broker, b"1")
    consumer = MemoryConsumer(broker, ["c"])

    async def will_not_be_cancelled(delivery: Delivery) -> Outcome:
        handling = asyncio.create_task(recorder(delivery))
        while not handling.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(handling)
        return handling.result()

    member = Subscriber(
        consumer, will_not_be_cancelled, backoff=Backoff(0.001, 0.001), commit_seconds=0.0, drain_seconds=0.0
    )
    async with running(member):
        await recorder.entered.wait()
        await consumer.reassign(frozenset())
        recorder.gate.set()
        await recorder.until(1)

    assert broker.committed == {}, "a completion of an earlier assignment neither commits nor counts"


@pytest.mark.asyncio
async def test_a_failed_commit_is_repeated_before_leaving() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    consumer = MemoryConsumer(broker, ["c"])
    consumer.commit_failures = [AWAY, AWAY]
    await fill(broker, b"1")
    async with running(subscriber(consumer, recorder)):
        await recorder.until(1)

    assert broker.committed == {P0: Position(1)}
    assert consumer.stopped


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_asked_again() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    consumer = MemoryConsumer(broker, ["c"])
    consumer.failures = [AWAY, AWAY]
    await fill(broker, b"1")
    async with running(subscriber(consumer, recorder)):
        await recorder.until(1)

    assert recorder.seen == [b"1"]


class LateConsumer(MemoryConsumer):
    """Refuse the first starts."""

    refusals = 2

    async def start(self, listener: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise AWAY
        await super().start(listener)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_logged_seldom_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    consumer = MemoryConsumer(broker, ["c"])
    consumer.failures = [AWAY] * 50
    await fill(broker, b"1")
    with caplog.at_level("INFO", "cqrs.messaging.subscriber"):
        async with running(subscriber(consumer, recorder)):
            await recorder.until(1)

    told = [each.getMessage().partition(":")[0] for each in caplog.records if "consuming" in each.getMessage()]
    assert told == ["consuming is held", "consuming goes on"]


@pytest.mark.asyncio
async def test_joining_is_repeated_until_the_broker_answers() -> None:
    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    await fill(broker, b"1")
    async with running(subscriber(LateConsumer(broker, ["c"]), recorder)):
        await recorder.until(1)

    assert broker.committed == {P0: Position(1)}


@pytest.mark.asyncio
async def test_a_stop_before_the_broker_answers_ends_at_once() -> None:
    consumer = LateConsumer(MemoryBroker({"c": 1}), ["c"])
    consumer.refusals = 10**9
    member = Subscriber(consumer, Recorder(), backoff=Backoff(3600, 3600))
    task = asyncio.create_task(member.run())
    member.stop()

    await asyncio.wait_for(task, 5)

    assert consumer.stopped


@pytest.mark.asyncio
async def test_what_was_settled_before_a_held_record_is_committed_while_it_is_held() -> None:
    broker = MemoryBroker({"c": 1})
    await fill(broker, b"1", b"2")
    held = asyncio.Event()

    class Watched(MemoryConsumer):
        async def commit(self, offsets: Mapping[TopicPartition, Position]) -> Collection[TopicPartition]:
            lost = await super().commit(offsets)
            held.set()
            return lost

    async def first_then_fail(delivery: Delivery) -> Outcome:
        if delivery.message.value == b"2":
            raise AWAY
        return HANDLED

    member = Subscriber(Watched(broker, ["c"]), first_then_fail, backoff=Backoff(3600, 3600), commit_seconds=0.01)
    async with running(member):
        await asyncio.wait_for(held.wait(), 5)

    assert broker.committed == {P0: Position(1)}


@pytest.mark.asyncio
async def test_a_loop_that_is_cut_off_at_the_end_of_its_budget_commits_what_it_did() -> None:
    broker = MemoryBroker({"c": 1})
    await fill(broker, b"1", b"2")
    consumer = MemoryConsumer(broker, ["c"])
    hanging = asyncio.Event()

    async def first_then_hang(delivery: Delivery) -> Outcome:
        if delivery.message.value == b"2":
            hanging.set()
            await asyncio.Event().wait()
        return HANDLED

    member = Subscriber(consumer, first_then_hang, backoff=Backoff(0.001, 0.001), commit_seconds=3600.0)
    task = asyncio.create_task(member.run())
    await asyncio.wait_for(hanging.wait(), 5)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert broker.committed == {P0: Position(1)}
    assert consumer.stopped


@pytest.mark.asyncio
async def test_a_revocation_ends_the_wait_of_a_record_that_is_held() -> None:
    broker, recorder = MemoryBroker({"c": 2}), Recorder()
    await fill(broker, b"held")
    failed = asyncio.Event()

    async def fail_the_first(delivery: Delivery) -> Outcome:
        if delivery.message.value == b"held":
            failed.set()
            raise AWAY
        return await recorder(delivery)

    consumer = MemoryConsumer(broker, ["c"])
    member = Subscriber(consumer, fail_the_first, backoff=Backoff(3600, 3600), commit_seconds=0.0)
    async with running(member):
        await failed.wait()
        assert member.waiting_for is not None
        await consumer.reassign(frozenset({P1}))
        await fill(broker, b"next", partition=1)
        await asyncio.wait_for(recorder.until(1), 5)

    assert recorder.seen == [b"next"]


@pytest.mark.asyncio
async def test_an_error_whose_text_cannot_be_made_holds_the_record_like_any_other() -> None:
    class Broken(DependencyUnavailableException):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    broker, recorder = MemoryBroker({"c": 1}), Recorder()
    recorder.failures = [Broken("database", "away")]
    await fill(broker, b"1")
    async with running(subscriber(MemoryConsumer(broker, ["c"]), recorder)):
        await recorder.until(1)

    assert recorder.waits == [0, 1]
