"""Dead letters carry Spring's headers byte for byte; key, value and other headers stay as they were."""

import pytest

from cqrs.exceptions import (
    DependencyUnavailableException,
    UndecodableMessageException,
    UnpublishableEventException,
)
from cqrs.messaging.backoff import Backoff
from cqrs.messaging.dead_letters import DeadLetters, dead_letter, describe
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, TryAgainException
from cqrs.messaging.envelope import read_envelope
from cqrs.messaging.message import Message, OutgoingMessage
from cqrs.testing.memory import MemoryBroker, MemoryProducer

TOPICS = {"orders.commands": 3, "orders.commands-dlt": 3}


def record(*headers: tuple[str, bytes | None]) -> Message:
    return Message("orders.commands", 2, 258, b"o-1", b"\x00\xffraw", headers, 1_700_000_000_123, 0)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


BACKOFF = Backoff(1.0, 8.0, uniform=lambda low, high: high)


def letters_of(topic: str) -> str:
    return f"{topic}-dlt"


async def put(message: Message, error: Exception) -> Message:
    broker = MemoryBroker(TOPICS)
    await DeadLetters(MemoryProducer(broker), "orders", letters_of).put(message, error)
    (letter,) = broker.messages("orders.commands-dlt")
    return letter


@pytest.mark.asyncio
async def test_the_headers_are_springs_byte_for_byte() -> None:
    letter = await put(record(("a", b"1"), ("a", None)), raised(RuntimeError("outer"), ValueError("inner")))

    headers = dict(letter.headers)
    assert (letter.key, letter.value, letter.partition) == (b"o-1", b"\x00\xffraw", 2)
    assert letter.headers[:2] == (("a", b"1"), ("a", None))
    assert headers["kafka_dlt-original-topic"] == b"orders.commands"
    assert headers["kafka_dlt-original-partition"] == b"\x00\x00\x00\x02"
    assert headers["kafka_dlt-original-offset"] == b"\x00\x00\x00\x00\x00\x00\x01\x02"
    assert headers["kafka_dlt-original-timestamp"] == (1_700_000_000_123).to_bytes(8, "big")
    assert headers["kafka_dlt-original-timestamp-type"] == b"CreateTime"
    assert headers["kafka_dlt-original-consumer-group"] == b"orders"
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.RuntimeError"
    assert headers["kafka_dlt-exception-cause-fqcn"] == b"builtins.ValueError"
    assert headers["kafka_dlt-exception-message"] == b"outer"
    assert b"test_dead_letters.py" in (headers["kafka_dlt-exception-stacktrace"] or b"")


@pytest.mark.asyncio
async def test_a_dead_letter_topic_with_fewer_partitions_takes_the_letters_of_one_in_order() -> None:
    broker = MemoryBroker({"orders.commands-dlt": 2})
    letters = DeadLetters(MemoryProducer(broker), "orders", letters_of)
    for offset in range(3):
        await letters.put(Message("orders.commands", 5, offset, b"k", b"v"), ValueError("no"))

    stored = broker.messages("orders.commands-dlt")
    assert [each.partition for each in stored] == [1, 1, 1]
    assert [dict(each.headers)["kafka_dlt-original-partition"] for each in stored] == [(5).to_bytes(4, "big")] * 3
    assert [each.value for each in stored] == [b"v"] * 3, "it was not taken for a letter that is too large"


@pytest.mark.asyncio
async def test_a_second_failure_keeps_the_first_origin_and_replaces_the_cause() -> None:
    first = await put(record(), raised(ValueError("first")))
    again = Message("orders.commands", 0, 9, first.key, first.value, first.headers)

    second = await put(again, raised(KeyError("second")))

    names = [name for name, _ in second.headers]
    assert len(names) == len(set(names)), "headers are replaced, never repeated"
    headers = dict(second.headers)
    assert headers["kafka_dlt-original-offset"] == (258).to_bytes(8, "big")
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.KeyError"


def test_the_stack_trace_is_cut_at_8_kib_and_stays_utf8() -> None:
    described = describe(raised(ValueError("ü" * 20_000)))

    assert len(described["kafka_dlt-exception-stacktrace"]) <= 8 * 1024
    assert described["kafka_dlt-exception-stacktrace"].decode()
    assert len(described["kafka_dlt-exception-message"]) <= 2 * 1024


def test_an_error_whose_text_cannot_be_made_is_still_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    described = describe(raised(Broken()))

    assert b"Broken" in described["kafka_dlt-exception-message"]
    assert b"Broken" in described["kafka_dlt-exception-fqcn"]


def test_lone_surrogates_in_an_error_do_no_harm() -> None:
    assert describe(raised(ValueError("\ud800")))["kafka_dlt-exception-message"] == b"?"


def test_the_cause_is_what_the_error_was_raised_from_and_not_what_lies_below_it() -> None:
    outer = raised(RuntimeError("outer"), raised(TimeoutError("cause"), KeyError("internals")))

    assert describe(outer)["kafka_dlt-exception-cause-fqcn"] == b"builtins.TimeoutError"


def test_an_error_without_a_cause_names_none() -> None:
    assert "kafka_dlt-exception-cause-fqcn" not in describe(raised(ValueError("alone")))


async def settle(error: Exception, producer: MemoryProducer) -> Outcome:
    async def handler(_: Delivery) -> Outcome:
        raise error

    message = record(("ce_id", b"m-1"))
    handle = dead_letter(DeadLetters(producer, "orders", letters_of), BACKOFF)(handler)
    return await handle(Delivery(message, read_envelope(message)))


@pytest.mark.asyncio
async def test_what_can_never_succeed_is_settled_as_a_dead_letter() -> None:
    broker = MemoryBroker(TOPICS)
    error = UndecodableMessageException("no")

    outcome = await settle(error, MemoryProducer(broker))

    assert outcome == Outcome("dead_lettered", "orders.commands-dlt", error, 0)
    assert (await settle(error, MemoryProducer(broker))).offset == 1, "where its letter lies"
    assert len(broker.messages("orders.commands-dlt")) == 2


@pytest.mark.asyncio
async def test_what_is_to_be_tried_again_is_not_put_aside() -> None:
    broker = MemoryBroker(TOPICS)
    error = TryAgainException(1.0, DependencyUnavailableException("database", "refused"), waits_for="database")

    with pytest.raises(TryAgainException) as raised_again:
        await settle(error, MemoryProducer(broker))

    assert raised_again.value is error
    assert broker.messages("orders.commands-dlt") == []


@pytest.mark.parametrize(
    "refusal", [DependencyUnavailableException("kafka", "away"), UnpublishableEventException("no such topic")], ids=repr
)
@pytest.mark.asyncio
async def test_a_letter_that_is_not_acknowledged_settles_nothing(refusal: Exception) -> None:
    producer = MemoryProducer(MemoryBroker(TOPICS))
    producer.failures += [refusal] * 3
    error = ValueError("x")

    with pytest.raises(TryAgainException) as again:
        await settle(error, producer)

    assert again.value.refusal is error, "only the letter is tried again, not the handler"
    assert (again.value.spent, again.value.waits_for) == (False, "dead letter topic orders.commands-dlt")


@pytest.mark.asyncio
async def test_a_letter_that_is_too_large_is_sent_with_a_shorter_cause() -> None:
    broker = MemoryBroker(TOPICS)
    producer = MemoryProducer(broker)
    producer.failures.append(UnpublishableEventException("too large"))

    await DeadLetters(producer, "orders", letters_of).put(record(), raised(ValueError("x" * 1000)))

    (letter,) = broker.messages("orders.commands-dlt")
    headers = dict(letter.headers)
    assert "kafka_dlt-exception-stacktrace" not in headers
    assert headers["kafka_dlt-exception-message"] == b"x" * 200
    assert headers["kafka_dlt-original-topic"] == b"orders.commands"


@pytest.mark.asyncio
async def test_a_record_that_the_topic_cannot_hold_leaves_a_reference_to_where_it_lies() -> None:
    broker = MemoryBroker(TOPICS)
    producer = MemoryProducer(broker)
    producer.failures += [UnpublishableEventException("too large")] * 2

    await DeadLetters(producer, "orders", letters_of).put(record(("mine", b"x" * 900_000)), raised(ValueError("x")))

    (letter,) = broker.messages("orders.commands-dlt")
    headers = dict(letter.headers)
    assert (letter.key, letter.value, letter.partition) == (b"o-1", None, 2)
    assert "mine" not in headers
    assert headers["cqrs-dead-letter-omitted-bytes"] == b"5"
    assert headers["kafka_dlt-original-offset"] == (258).to_bytes(8, "big")
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.ValueError"


@pytest.mark.asyncio
async def test_a_key_that_is_too_long_is_left_out_of_the_reference() -> None:
    broker = MemoryBroker(TOPICS)
    producer = MemoryProducer(broker)
    producer.failures += [UnpublishableEventException("too large")] * 2
    message = Message("orders.commands", 0, 1, b"k" * 1_500_000, b"v")

    await DeadLetters(producer, "orders", letters_of).put(message, raised(ValueError("x")))

    (letter,) = broker.messages("orders.commands-dlt")
    assert letter.key is None


@pytest.mark.asyncio
async def test_a_dead_letter_topic_that_is_not_there_settles_nothing() -> None:
    producer = MemoryProducer(MemoryBroker({"orders.commands": 3}))

    with pytest.raises(UnpublishableEventException, match="create it"):
        await DeadLetters(producer, "orders", letters_of).put(record(), raised(ValueError("x")))


@pytest.mark.asyncio
async def test_a_handled_delivery_passes_untouched() -> None:
    async def handler(_: Delivery) -> Outcome:
        return HANDLED

    broker = MemoryBroker(TOPICS)
    message = record()
    handle = dead_letter(DeadLetters(MemoryProducer(broker), "orders", letters_of), BACKOFF)(handler)

    assert await handle(Delivery(message, read_envelope(message))) is HANDLED


@pytest.mark.asyncio
async def test_the_memory_broker_refuses_an_unknown_topic() -> None:
    with pytest.raises(UnpublishableEventException, match="create it"):
        await MemoryBroker({}).append(OutgoingMessage("nowhere", None, b""))
