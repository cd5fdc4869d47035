import asyncio

import pytest
from confluent_kafka import Producer as OutsideProducer

from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.messaging.message import Message, OutgoingMessage, Position, TopicPartition
from cqrs.messaging.ports import Consumer
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from tests.unit.kafka.consuming import (
    ALL,
    GROUP_DENIED,
    PLACES,
    SASL_FAILED,
    TOPIC,
    Listener,
    MakeConsumer,
    MakeProducer,
    poll_for,
    read,
    send,
    send_to,
)


@pytest.mark.asyncio
async def test_records_come_out_as_they_were_sent(producers: MakeProducer, consumers: MakeConsumer) -> None:
    producer, listener = producers(), Listener()
    consumer: Consumer = consumers()
    await consumer.start(listener)
    assert listener.told == [("assigned", ALL)]
    headers = (("a", b"1"), ("a", b"2"), ("null", None), ("", b""), ("é", b"\xff"), ("\udcff\udcfe", b"x"))
    sent = [
        OutgoingMessage(TOPIC, b"k", b"value", headers, partition=1),
        OutgoingMessage(TOPIC, b"k", None, partition=1),
        OutgoingMessage(TOPIC, None, None, partition=1),
        OutgoingMessage(TOPIC, b"", b"", (("n" * 300, b"v" * 300),), partition=1),
    ]
    for each in sent:
        await producer.send(each)
    found = await read(consumer, len(sent))
    assert [(m.topic, m.partition, m.offset) for m in found] == [(TOPIC, 1, n) for n in range(4)]
    assert [(m.key, m.value, m.headers) for m in found] == [(m.key, m.value, m.headers) for m in sent]
    assert all(m.timestamp_ms > 1_600_000_000_000 for m in found)
    assert {m.timestamp_type for m in found} == {0}


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read(broker: EmbeddedBroker, consumers: MakeConsumer, codec: str) -> None:
    outside = OutsideProducer({"bootstrap.servers": broker.bootstrap_servers, "compression.codec": codec})
    for number in range(50):
        outside.produce(TOPIC, b"x" * 500, b"k", headers=[("n", b"%d" % number)])
    outside.flush(5)
    consumer = consumers()
    await consumer.start(Listener())
    assert [m.headers for m in await read(consumer, 50)] == [(("n", b"%d" % n),) for n in range(50)]


@pytest.mark.asyncio
async def test_poison_records_among_thousands_lose_nothing(producers: MakeProducer, consumers: MakeConsumer) -> None:
    producer = producers()
    sends = [
        producer.send(
            OutgoingMessage(TOPIC, None, b"%d" % n, (("\udcff", b""),) if n % 7 == 0 else (), partition=n % 3)
        )
        for n in range(300)
    ]
    await asyncio.gather(*sends)
    consumer = consumers(max_poll_records=10)
    await consumer.start(Listener())
    found = await read(consumer, 300)
    assert sorted(int(m.value or b"-1") for m in found) == list(range(300))
    for partition in range(3):
        assert [m.offset for m in found if m.partition == partition] == list(range(100))


@pytest.mark.asyncio
async def test_poll_returns_nothing_when_nothing_comes_and_at_most_what_is_asked(
    producers: MakeProducer, consumers: MakeConsumer
) -> None:
    consumer = consumers(max_poll_records=3)
    await consumer.start(Listener())
    assert not await consumer.poll(0.01)
    await send(producers(), *[b"v"] * 7)
    sizes = [len(await consumer.poll(1)) for _ in range(3)]
    assert max(sizes) <= 3


@pytest.mark.asyncio
async def test_a_new_member_goes_on_at_the_committed_offset(producers: MakeProducer, consumers: MakeConsumer) -> None:
    await send(producers(), b"1", b"2", b"3")
    first = consumers()
    await first.start(Listener())
    found = await read(first, 3)
    await first.commit({TopicPartition(TOPIC, found[0].partition): Position(2)})
    await first.stop()
    second = consumers()
    await second.start(Listener())
    assert [m.value for m in await read(second, 1)] == [b"3"]


@pytest.mark.asyncio
async def test_a_member_that_polls_nothing_for_longer_than_its_session_stays_one(
    producers: MakeProducer, consumers: MakeConsumer
) -> None:
    listener = Listener()
    consumer = consumers(session_timeout_seconds=1.0)
    await consumer.start(listener)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listener.revoked.wait(), 1.7)
    await consumer.commit(dict.fromkeys(ALL, Position(0)))
    await send(producers(), b"1")
    assert [m.value for m in await read(consumer, 1)] == [b"1"]


@pytest.mark.asyncio
async def test_the_listener_is_told_what_was_committed_and_reading_goes_on_there(
    producers: MakeProducer, consumers: MakeConsumer
) -> None:
    producer = producers()
    for partition in range(3):
        for value in range(4):
            await producer.send(OutgoingMessage(TOPIC, b"k", b"%d" % value, partition=partition))
    consumer, listener = consumers(), Listener()
    await consumer.start(listener)
    assert listener.committed == dict.fromkeys(ALL)
    noted = {PLACES[0]: Position(3, "5-6,9"), PLACES[1]: Position(2)}
    await consumer.commit(noted)
    await consumer.stop()
    await consumer.start(listener)
    assert listener.committed == {**noted, PLACES[2]: None}
    found = await read(consumer, 7)
    assert sorted((m.partition, m.offset) for m in found) == [(0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)]


@pytest.mark.asyncio
async def test_records_of_other_partitions_stay_prefetched_for_a_later_poll(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    outside = OutsideProducer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 50})
    for value in (b"a", b"b", b"c"):  # in one batch: the embedded broker answers with one at a time
        outside.produce(TOPIC, value, partition=0)
    outside.flush(5)
    await send_to(producers(), 1, b"d")
    consumer = consumers()
    await consumer.start(Listener())
    assert [m.value for m in await read(consumer, 1, [PLACES[1]])] == [b"d"]
    assert not await consumer.poll(0.05, [PLACES[1]])
    assert not await consumer.poll(0.05, [])
    assert not await consumer.poll(0.05, None, 0)
    assert not await consumer.poll(0.05, [TopicPartition("foreign", 0)])
    broker.broker_down()
    assert [m.value for m in await consumer.poll(0.05, [PLACES[0], PLACES[2]], 2)] == [b"a", b"b"]
    assert [m.value for m in await consumer.poll(0.05)] == [b"c"]


@pytest.mark.asyncio
async def test_what_is_fetched_and_not_wanted_is_bounded_and_starves_nobody(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    producer = producers()
    await send_to(producer, 0, *[b"x" * 1_000] * 50)
    consumer = consumers(max_partition_fetch_bytes=5_000)
    await consumer.start(Listener())
    for number in range(20):
        await send_to(producer, 1, b"%d" % number)
        async with asyncio.timeout(1):
            assert [m.offset for m in await read(consumer, 1, [PLACES[1]])] == [number]
    broker.broker_down()
    there = await consumer.poll(0.05, [PLACES[0]])
    assert 1 <= len(there) <= 5
    assert not await consumer.poll(0.05, [PLACES[0]]), "there was more than one fetch of it"


@pytest.mark.asyncio
@pytest.mark.parametrize("backlog", [True, False])
async def test_a_consumer_that_wants_nothing_for_a_while_keeps_its_place(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, backlog: bool
) -> None:
    producer, listener = producers(), Listener()
    if backlog:
        for partition in range(3):
            await send_to(producer, partition, b"1", b"2")
    consumer = consumers(session_timeout_seconds=3.0, silence_seconds=1.0, rejoin_seconds=2.0)
    await consumer.start(listener)
    await poll_for(consumer, 4.0, [])
    assert listener.told == [("assigned", ALL)]
    if not backlog:
        for partition in range(3):
            await send_to(producer, partition, b"1", b"2")
    found = await read(consumer, 6)
    assert sorted((m.partition, m.offset) for m in found) == [(p, n) for p in range(3) for n in range(2)]
    assert not await consumer.poll(0.1)
    assert listener.told == [("assigned", ALL)]


@pytest.mark.asyncio
@pytest.mark.parametrize("backlog", [True, False])
async def test_a_consumer_that_wants_nothing_notices_that_the_broker_is_away(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, backlog: bool
) -> None:
    producer, listener = producers(), Listener()
    for partition in range(3 if backlog else 0):
        await send_to(producer, partition, b"1")
    consumer = consumers(
        session_timeout_seconds=30, silence_seconds=1.0, rejoin_seconds=20.0, request_timeout_seconds=0.3
    )
    await consumer.start(listener)
    await poll_for(consumer, 1.5, [])
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"reading orders\.commands as orders"):
        await poll_for(consumer, 15.0, [])
    assert ("revoked", ALL) not in listener.told
    broker.broker_up()
    await send_to(producer, 0, b"2")
    found = [m.value for m in await read(consumer, 4 if backlog else 1, patiently=True)]
    assert sorted(found, key=str) == ([b"1", b"1", b"1", b"2"] if backlog else [b"2"])


@pytest.mark.asyncio
async def test_poll_says_that_the_broker_is_away_and_goes_on_when_it_is_back(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    producer = producers()
    consumer = consumers(silence_seconds=1.0, session_timeout_seconds=10)
    await consumer.start(Listener())
    await send(producer, b"1")
    assert len(await read(consumer, 1)) == 1
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"no fetch was answered for \d\.\d s"):
        await read(consumer, 1)
    broker.broker_up()
    await send(producer, b"2")
    assert b"2" in [m.value for m in await read(consumer, 1, patiently=True)]


@pytest.mark.asyncio
async def test_after_a_long_absence_the_group_is_joined_anew_at_the_committed_offsets(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer
) -> None:
    listener = Listener()
    consumer = consumers(silence_seconds=0.5, rejoin_seconds=1.5)
    await consumer.start(listener)
    await send(producers(), b"1", b"2")
    partition = TopicPartition(TOPIC, (await read(consumer, 2))[0].partition)
    await consumer.commit({partition: Position(1)})
    broker.broker_down()
    while ("revoked", ALL) not in listener.told:
        with pytest.raises(DependencyUnavailableException):
            await read(consumer, 1)
    with pytest.raises(DependencyUnavailableException, match="joining"):
        await consumer.poll(0.1)
    broker.broker_up()
    assert [m.value for m in await read(consumer, 1, patiently=True)] == [b"2"]
    assert [what for what, _ in listener.told] == ["assigned", "revoked", "assigned"]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [SASL_FAILED, GROUP_DENIED])
async def test_an_error_that_aiokafka_does_not_recover_from_gives_a_new_client(
    broker: EmbeddedBroker, producers: MakeProducer, consumers: MakeConsumer, code: int
) -> None:
    listener = Listener()
    consumer = consumers()
    await consumer.start(listener)
    broker.fail_requests(ApiKey.HEARTBEAT, code)
    with pytest.raises(DependencyUnavailableException):
        await read(consumer, 1)
    assert listener.told == [("assigned", ALL), ("revoked", ALL)]
    await send(producers(), b"1")
    assert [m.value for m in await read(consumer, 1)] == [b"1"]


@pytest.mark.asyncio
async def test_a_fetcher_that_died_gives_a_new_client(producers: MakeProducer, consumers: MakeConsumer) -> None:
    consumer = consumers()
    await consumer.start(Listener())
    assert consumer._line is not None
    assert consumer._line._client._fetcher is not None
    consumer._line._client._fetcher.error_future.cancel()
    with pytest.raises(DependencyUnavailableException):
        await read(consumer, 1)
    await send(producers(), b"1")
    assert [m.value for m in await read(consumer, 1)] == [b"1"]


@pytest.mark.asyncio
async def test_a_joining_that_took_long_is_no_silence(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    listener = Listener()
    broker.delay_answers(300)
    consumer = consumers(session_timeout_seconds=10, silence_seconds=1.0, rejoin_seconds=1.2)
    await consumer.start(listener)
    await poll_for(consumer, 2.0, PLACES)
    assert listener.told == [("assigned", ALL)]


@pytest.mark.asyncio
async def test_start_reports_a_broker_that_is_away(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    listener = Listener()
    consumer = consumers(start_timeout_seconds=0.3)
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"joining orders\.commands as orders"):
        await consumer.start(listener)
    broker.broker_up()
    await consumer.start(listener)
    await consumer.start(listener)
    assert listener.told == [("assigned", ALL)]


@pytest.mark.asyncio
async def test_a_broker_that_does_not_answer_the_joining_is_given_up(
    broker: EmbeddedBroker, consumers: MakeConsumer
) -> None:
    broker.delay_answers(60_000)
    with pytest.raises(DependencyUnavailableException, match="joining"):
        await consumers(start_timeout_seconds=0.2).start(Listener())


@pytest.mark.asyncio
async def test_stop_ends_in_time_with_the_broker_away(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    consumer = consumers(stop_timeout_seconds=0.2)
    await consumer.start(Listener())
    broker.broker_down()
    async with asyncio.timeout(2):
        await consumer.stop()
        await consumer.stop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


@pytest.mark.asyncio
async def test_a_consumer_that_does_not_run_says_so(consumers: MakeConsumer) -> None:
    consumer = consumers()
    with pytest.raises(ConfigurationException, match=r"start\(listener\)"):
        await consumer.poll(0)
    await consumer.stop()
    await consumer.commit({TopicPartition(TOPIC, 0): Position(1)})


@pytest.mark.asyncio
async def test_a_cancelled_poll_loses_no_record(producers: MakeProducer, consumers: MakeConsumer) -> None:
    consumer = consumers(max_poll_records=1)
    await consumer.start(Listener())
    sending = asyncio.create_task(send(producers(), *(b"%d" % n for n in range(100))))
    found: list[Message] = []
    while len(found) < 100:
        poll = asyncio.create_task(consumer.poll(1))
        await asyncio.sleep(0)
        poll.cancel()
        for each in (poll, asyncio.create_task(consumer.poll(0.001))):
            try:
                found += await each
            except asyncio.CancelledError:
                continue
    await sending
    assert [m.offset for m in found] == list(range(100))


@pytest.mark.parametrize("seconds", [0.001, 0.002, 0.999])
def test_a_session_too_short_for_heartbeats_is_a_mistake_of_the_configuration(seconds: float) -> None:
    with pytest.raises(ConfigurationException, match="KAFKA_SESSION_TIMEOUT_MS") as refused:
        KafkaConsumer([TOPIC], "orders", bootstrap_servers="kafka:9092", session_timeout_seconds=seconds)
    assert f"{seconds * 1000:g} ms are too short for heartbeats; write 1000 or more" in str(refused.value)


def test_a_session_of_one_second_will_do() -> None:
    KafkaConsumer([TOPIC], "orders", bootstrap_servers="kafka:9092", session_timeout_seconds=1.0)
