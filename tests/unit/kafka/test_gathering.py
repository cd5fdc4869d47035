import asyncio
from collections import deque

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition

from cqrs.exceptions import UnpublishableEventException
from cqrs.kafka import batches
from cqrs.kafka.batches import SingleRecordBatch
from cqrs.kafka.gathering import GatheredBatch
from cqrs.kafka.queued import Outcome, QueuedMessage
from cqrs.messaging.message import Headers, OutgoingMessage, Receipt

PLACE = TopicPartition("orders", 1)


def queued(value: object, headers: Headers = (), **options: object) -> QueuedMessage:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    message = OutgoingMessage("orders", b"k", value, headers)  # type: ignore[arg-type]
    return QueuedMessage(message, list(headers), outcome, 0.0, 1_234, **options)  # type: ignore[arg-type]


def gather(waiting: deque[QueuedMessage], *, large: bool = False, size: int = 16_384) -> GatheredBatch:
    return GatheredBatch(waiting, BatchBuilder(size, 0), large=large)


def sent(batch: GatheredBatch) -> list[tuple[bytes | None, Headers, int]]:
    """Return what the batch is made of, built as aiokafka's sender has it built."""
    batch._set_producer_state(7, 1, 3)
    built = bytes(batch._build())
    assert batches.is_intact(built)
    header = batches.read_header(built)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 3)
    return [(each.value, each.headers, each.timestamp) for each in batches.read_records(PLACE, built)]


def stored_at(offset: int) -> RecordMetadata:
    return RecordMetadata("orders", 1, PLACE, offset, -1, 0, 0)


def answer(result: object) -> "asyncio.Future[RecordMetadata | None]":
    future: asyncio.Future[RecordMetadata | None] = asyncio.get_running_loop().create_future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


@pytest.mark.asyncio
async def test_it_takes_what_waits_when_it_is_asked_first() -> None:
    waiting = deque([queued(b"1", (("h", b"x"),))])
    batch = gather(waiting)
    assert batch.closed()
    assert not batch.is_filled
    waiting.append(queued(b"2"))
    assert batch.record_count() == 2
    waiting.append(queued(b"3"))
    assert batch.record_count() == 2
    assert [each.message.value for each in waiting] == [b"3"]
    assert sent(batch) == [(b"1", (("h", b"x"),), 1_234), (b"2", (), 1_234)]


@pytest.mark.asyncio
async def test_it_leaves_what_does_not_fit() -> None:
    waiting = deque(queued(b"%d" % number * 100) for number in range(5))
    assert gather(waiting, size=300).record_count() == 2
    assert len(waiting) == 3


@pytest.mark.asyncio
async def test_one_message_always_fits() -> None:
    assert gather(deque([queued(b"x" * 1_000)]), size=300).record_count() == 1


@pytest.mark.asyncio
async def test_what_must_be_alone_is_alone_and_keeps_its_turn() -> None:
    waiting = deque([queued(b"1"), queued(b"2", alone=True), queued(b"3")])
    assert [gather(waiting).record_count() for _ in range(3)] == [1, 1, 1]


@pytest.mark.asyncio
async def test_a_message_with_a_batch_of_its_own_is_sent_in_it() -> None:
    odd = (("\udcff", b"x"),)
    single = SingleRecordBatch(OutgoingMessage("orders", b"k", b"odd", odd))
    waiting = deque([queued(b"odd", odd, alone=True, single=single), queued(b"2")])
    batch = gather(waiting)
    assert batch.record_count() == 1
    assert [each[:2] for each in sent(batch)] == [(b"odd", odd)]


@pytest.mark.asyncio
async def test_large_messages_are_left_to_the_client_for_them() -> None:
    large = queued(b"2", alone=True, is_large=True)
    large.single = SingleRecordBatch(large.message)
    waiting = deque([queued(b"1"), large, queued(b"3")])
    assert gather(waiting, large=True).record_count() == 0
    assert gather(waiting).record_count() == 1
    assert gather(waiting).record_count() == 0
    assert gather(waiting, large=True).record_count() == 1


@pytest.mark.asyncio
async def test_a_large_message_that_is_not_compressed_yet_is_left_until_it_is() -> None:
    first, second = (queued(each * 9_000, is_large=True) for each in (b"1", b"2"))
    first.single = SingleRecordBatch(first.message, compress=True)
    waiting = deque([first, second])
    batch = gather(waiting, large=True)
    first.outcome.cancel()

    assert batch.record_count() == 0
    assert list(waiting) == [second]


@pytest.mark.asyncio
async def test_what_has_ended_is_left_out() -> None:
    ended = queued(b"1")
    ended.end(TimeoutError())
    waiting = deque([ended, queued(b"2")])
    batch = gather(waiting)
    assert batch.record_count() == 1
    assert [each[0] for each in sent(batch)] == [b"2"]


@pytest.mark.asyncio
async def test_what_cannot_be_written_is_told_and_disturbs_no_other() -> None:
    waiting = deque([queued(b"1"), queued(object()), queued(b"3")])
    bad = waiting[1]
    batch = gather(waiting)
    assert batch.record_count() == 2
    assert isinstance(await bad.outcome, UnpublishableEventException)
    assert [each[0] for each in sent(batch)] == [b"1", b"3"]


@pytest.mark.asyncio
async def test_taken_back_before_it_was_filled_it_takes_nothing() -> None:
    waiting = deque([queued(b"1")])
    batch = gather(waiting)
    batch.take_back()
    assert batch.record_count() == 0
    assert len(waiting) == 1
    batch.acknowledged(answer(None))
    assert await batch.settled is None


@pytest.mark.asyncio
async def test_it_is_not_sent_when_nobody_waits_or_it_was_taken_back() -> None:
    for end in (lambda batch: batch.messages[0].end(TimeoutError()), GatheredBatch.take_back):
        batch = gather(deque([queued(b"1")]))
        assert batch.record_count() == 1
        end(batch)
        assert batch.record_count() == 0
        batch.acknowledged(answer(None))
        assert isinstance(await batch.settled, TimeoutError)


@pytest.mark.asyncio
@pytest.mark.parametrize(("base", "offsets"), [(40, [40, 42]), (-1, [-1, -1])], ids=["stored", "repeated"])
async def test_each_caller_gets_its_own_receipt(base: int, offsets: list[int]) -> None:
    messages = [queued(b"1"), queued(b"2"), queued(b"3")]
    batch = gather(deque(messages))
    batch.record_count()
    messages[1].outcome.cancel()
    batch.acknowledged(answer(stored_at(base)))
    receipts = [await messages[0].outcome, await messages[2].outcome]
    assert receipts == [Receipt("orders", 1, offset) for offset in offsets]
    assert await batch.settled is None


@pytest.mark.asyncio
async def test_callers_are_told_before_whoever_sends_the_next_batch() -> None:
    told: list[str] = []
    batch = gather(deque([message := queued(b"1")]))
    batch.record_count()
    message.outcome.add_done_callback(lambda _: told.append("caller"))
    batch.settled.add_done_callback(lambda _: told.append("queue"))
    batch.acknowledged(answer(stored_at(0)))
    await asyncio.sleep(0)
    assert told == ["caller", "queue"]


@pytest.mark.asyncio
async def test_an_answer_that_comes_too_late_is_taken_in_silence() -> None:
    batch = gather(deque([message := queued(b"1")]))
    batch.record_count()
    batch.abandon()
    batch.abandon()
    assert isinstance(await batch.settled, TimeoutError)
    for late in (stored_at(0), KafkaTimeoutError()):
        batch.acknowledged(answer(late))
    assert not message.ended
    cancelled: asyncio.Future[RecordMetadata | None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    batch.acknowledged(cancelled)
