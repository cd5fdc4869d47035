import asyncio
import gc
import logging
import os
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer as OutsideConsumer
from confluent_kafka import TopicPartition as OutsidePartition

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.kafka.producer import KafkaProducer
from cqrs.kafka.producing import ProducerLine
from cqrs.messaging.message import OutgoingMessage, Receipt
from cqrs.messaging.ports import Producer
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker

TOPIC = "orders.commands"
DEAD = ("kafka_dlt-original-topic", b"orders.commands")
MakeProducer = Callable[..., KafkaProducer]

MESSAGE_TOO_LARGE, INVALID_RECORD, NOT_LEADER, OUT_OF_ORDER, FENCED, TOPIC_DENIED = 10, 87, 6, 45, 47, 29


def message(value: bytes = b"v", **fields: object) -> OutgoingMessage:
    return OutgoingMessage(**({"topic": TOPIC, "key": b"k", "value": value} | fields))  # type: ignore[arg-type]


def read_back(broker: EmbeddedBroker, receipt: Receipt) -> tuple[bytes | None, bytes | None, object]:
    """Read one record with another library."""
    outside = OutsideConsumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "outside"})
    try:
        outside.assign([OutsidePartition(receipt.topic, receipt.partition, receipt.offset)])
        record = outside.consume(1, timeout=5)[0]
        return record.key(), record.value(), record.headers()
    finally:
        outside.close()


@pytest.mark.asyncio
async def test_a_message_is_stored_as_it_is(broker: EmbeddedBroker, producers: MakeProducer) -> None:
    producer: Producer = producers()
    headers = (("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("", b"no name"), ("é", b"\xff"))
    receipt = await producer.send(message(b"value", headers=headers))
    assert receipt == Receipt(TOPIC, receipt.partition, 0)
    assert read_back(broker, receipt) == (b"k", b"value", list(headers))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("key", "value"),
    [(None, b"v"), (b"k", None), (None, None), (b"", b"")],
    ids=["no key", "tombstone", "none", "empty"],
)
async def test_key_and_value_may_be_absent(
    broker: EmbeddedBroker, producers: MakeProducer, key: bytes | None, value: bytes | None
) -> None:
    receipt = await producers().send(OutgoingMessage(TOPIC, key, value))
    assert read_back(broker, receipt)[:2] == (key, value)


@pytest.mark.asyncio
async def test_equal_keys_share_a_partition_however_they_are_written(producers: MakeProducer) -> None:
    producer = producers()
    plain = await producer.send(message())
    surrogate = await producer.send(message(headers=(("\udcff", b""),)))
    assert plain.partition == surrogate.partition
    assert (await producer.send(message(partition=(plain.partition + 1) % 3))).partition != plain.partition


@pytest.mark.asyncio
@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_values_are_compressed(broker: EmbeddedBroker, producers: MakeProducer, compression: str) -> None:
    receipt = await producers(compression=compression).send(message(b"x" * 10_000))
    assert read_back(broker, receipt)[1] == b"x" * 10_000


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"topic": "no.such.topic"}, "no such topic"),
        ({"partition": 9}, "3 partitions, none numbered 9"),
        ({"partition": -1}, "none numbered -1"),
        ({"value": b"x" * 2_000}, "larger than the maximum"),
        ({"key": None, "value": None, "headers": (("h", b"x" * 2_000),)}, "max_message_bytes"),
        ({"headers": (("\ud800", b""),)}, "surrogates not allowed"),
        ({"value": "text"}, "cannot be written"),
    ],
)
async def test_what_cannot_be_published_is_refused_and_the_next_goes_on(
    producers: MakeProducer, fields: dict[str, object], reason: str
) -> None:
    producer = producers(max_message_bytes=1_000)
    with pytest.raises(UnpublishableEventException, match=reason):
        await producer.send(message(**fields))  # type: ignore[arg-type]
    assert (await producer.send(message())).offset == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fields",
    [
        {"value": b"x" * 2_000},
        {"value": os.urandom(2_000)},
        {"value": b"x" * 2_000_000},
        {"value": os.urandom(3_000_000)},
        {"value": None, "key": b"k" * 1_500_000},
        {"value": b"v", "headers": (DEAD, ("h", os.urandom(100_000)))},
    ],
    ids=["small", "small noise", "large", "large noise", "large key", "large headers"],
)
async def test_a_dead_letter_is_not_refused_for_its_size_before_the_broker_has_seen_it(
    broker: EmbeddedBroker, producers: MakeProducer, fields: dict[str, object]
) -> None:
    producer = producers(max_message_bytes=1_000)
    letter = message(**({"headers": (DEAD,)} | fields))  # type: ignore[arg-type]
    receipt = await producer.send(letter)
    key, value, _ = read_back(broker, receipt)
    assert (key, value) == (letter.key, letter.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [2_000, 200_000], ids=["small", "large"])
async def test_a_dead_letter_that_the_broker_refuses_for_its_size_is_unpublishable_at_once(
    broker: EmbeddedBroker, producers: MakeProducer, size: int
) -> None:
    producer = producers(send_timeout_seconds=60)
    await producer.send(message())
    broker.fail_requests(ApiKey.PRODUCE, MESSAGE_TOO_LARGE, MESSAGE_TOO_LARGE)
    async with asyncio.timeout(5):
        with pytest.raises(UnpublishableEventException, match="the broker refuses it"):
            await producer.send(message(os.urandom(size), headers=(DEAD,)))
    broker.clear_failures(ApiKey.PRODUCE)
    await producer.send(message())


@pytest.mark.asyncio
async def test_a_dead_letter_that_no_broker_takes_is_unpublishable(
    producers: MakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cqrs.kafka.judging._LARGEST_REQUEST", 100_000)
    with pytest.raises(UnpublishableEventException, match="more than any broker takes"):
        await producers().send(message(os.urandom(100_001), headers=(DEAD,)))


@pytest.mark.asyncio
async def test_asking_for_an_unknown_topic_does_not_create_it(producers: MakeProducer) -> None:
    producer = producers()
    with pytest.raises(UnpublishableEventException):
        await producer.send(message(topic="no.such.topic"))
    assert await producer.topics() == {TOPIC: 3}


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [MESSAGE_TOO_LARGE, INVALID_RECORD])
async def test_a_message_the_broker_refuses_also_alone_is_unpublishable(
    broker: EmbeddedBroker, producers: MakeProducer, code: int
) -> None:
    producer = producers()
    broker.fail_requests(ApiKey.PRODUCE, code, code)
    with pytest.raises(UnpublishableEventException, match="the broker refuses it"):
        await producer.send(message())
    assert (await producer.send(message())).offset == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [INVALID_RECORD, OUT_OF_ORDER])
async def test_a_message_refused_for_its_neighbours_is_sent_alone(
    broker: EmbeddedBroker, producers: MakeProducer, code: int
) -> None:
    producer = producers()
    broker.fail_requests(ApiKey.PRODUCE, code)
    assert (await producer.send(message(b"good"))).offset == 0


@pytest.mark.asyncio
async def test_a_moment_s_trouble_of_the_broker_is_waited_out(broker: EmbeddedBroker, producers: MakeProducer) -> None:
    producer = producers()
    broker.fail_requests(ApiKey.PRODUCE, NOT_LEADER, NOT_LEADER)
    assert (await producer.send(message())).offset == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [FENCED, TOPIC_DENIED])
async def test_a_client_that_became_unusable_is_replaced_by_the_next_send(
    broker: EmbeddedBroker, producers: MakeProducer, code: int
) -> None:
    producer = producers()
    await producer.send(message())
    broker.fail_requests(ApiKey.PRODUCE, code)
    with pytest.raises(DependencyUnavailableException):
        await producer.send(message())
    assert (await producer.send(message())).offset == 1


@pytest.mark.asyncio
async def test_a_broker_that_goes_away_is_reported_within_the_deadline_and_found_again(
    broker: EmbeddedBroker, producers: MakeProducer
) -> None:
    producer = producers(send_timeout_seconds=0.3)
    await producer.send(message(b"before"))
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"sending to orders\.commands: no answer in time"):
        await producer.send(message(b"lost"))
    with pytest.raises(DependencyUnavailableException, match="cannot be reached"):
        await producer.send(message(b"lost too"))
    broker.broker_up()
    receipt = await producer.send(message(b"after"))
    assert receipt.offset == 1, "what was given up must not be sent later"


@pytest.mark.asyncio
async def test_a_broker_that_is_away_from_the_start_is_reported(
    broker: EmbeddedBroker, producers: MakeProducer
) -> None:
    producer = producers(send_timeout_seconds=0.3)
    broker.broker_down()
    for attempt in (producer.start(), producer.send(message()), producer.topics()):
        with pytest.raises(DependencyUnavailableException):
            await attempt
    broker.broker_up()
    await producer.start()
    assert await producer.topics() == {TOPIC: 3}


@pytest.mark.asyncio
async def test_a_broker_that_does_not_answer_is_given_up_in_time(
    broker: EmbeddedBroker, producers: MakeProducer
) -> None:
    producer = producers(send_timeout_seconds=0.3)
    await producer.start()
    broker.delay_answers(60_000)
    with pytest.raises(DependencyUnavailableException):
        await producer.send(message())
    broker.delay_answers(0)


@pytest.mark.asyncio
async def test_sends_that_share_a_client_with_one_that_failed_end_too(
    broker: EmbeddedBroker, producers: MakeProducer
) -> None:
    producer = producers(send_timeout_seconds=0.3)
    await producer.start()
    broker.broker_down()
    outcomes = await asyncio.gather(*(producer.send(message()) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {DependencyUnavailableException}
    broker.broker_up()
    assert (await producer.send(message())).offset == 0


@pytest.mark.asyncio
async def test_many_first_sends_open_one_client(
    broker: EmbeddedBroker, producers: MakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[None] = []
    connect = ProducerLine._connect

    async def counted(self: ProducerLine) -> object:
        opened.append(None)
        return await connect(self)

    monkeypatch.setattr(ProducerLine, "_connect", counted)
    producer = producers()
    receipts = await asyncio.gather(*(producer.send(message(b"%d" % n)) for n in range(100)))
    assert len(opened) == 1
    assert sorted(receipt.offset for receipt in receipts) == list(range(100))


@pytest.mark.asyncio
async def test_stop_waits_for_what_is_on_its_way(broker: EmbeddedBroker, producers: MakeProducer) -> None:
    producer = producers()
    await producer.send(message())
    broker.delay_answers(50)
    sends = [asyncio.create_task(producer.send(message())) for _ in range(20)]
    await asyncio.sleep(0)  # each has run as far as it can: its message is accepted
    await producer.stop()
    assert sorted(receipt.offset for receipt in await asyncio.gather(*sends)) == list(range(1, 21))


@pytest.mark.asyncio
async def test_stop_does_not_wait_longer_than_its_limit(
    broker: EmbeddedBroker, producers: MakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer = producers(stop_timeout_seconds=0.1)
    await producer.send(message())
    broker.broker_down()
    send = asyncio.create_task(producer.send(message()))
    await asyncio.sleep(0)  # it has run as far as it can: its message is accepted
    with caplog.at_level(logging.WARNING, logger="cqrs"):
        await producer.stop()
    with pytest.raises(DependencyUnavailableException):
        await send
    assert "did not acknowledge" in caplog.text


@pytest.mark.asyncio
async def test_a_stop_while_a_request_is_not_answered_leaves_nothing_behind(
    broker: EmbeddedBroker, producers: MakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer = producers(stop_timeout_seconds=0.05)
    await producer.send(message())
    broker.delay_answers(60_000)
    send = asyncio.create_task(producer.send(message()))
    await asyncio.sleep(0)  # it has run as far as it can: its message is accepted
    await producer.stop()
    with pytest.raises(DependencyUnavailableException, match="stopped"):
        await send
    del send
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


@pytest.mark.asyncio
async def test_start_and_stop_may_be_repeated(producers: MakeProducer) -> None:
    producer = producers()
    await producer.stop()
    await producer.start()
    await producer.start()
    await producer.stop()
    await producer.stop()
    assert (await producer.send(message())).offset == 0


@pytest.mark.asyncio
async def test_cancellation_goes_through_and_the_client_stays_usable(
    broker: EmbeddedBroker, producers: MakeProducer
) -> None:
    producer = producers()
    await producer.start()
    broker.delay_answers(100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await producer.send(message())
    broker.delay_answers(0)
    assert await producer.send(message())
