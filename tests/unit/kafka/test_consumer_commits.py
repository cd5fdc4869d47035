"""Commits of the consumer: nothing but ours, dropped when the partition is another's, an error when refused."""

import logging

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.message import Position, TopicPartition
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from tests.unit.kafka.consuming import (
    ALL,
    ILLEGAL_GENERATION,
    METADATA_TOO_LARGE,
    NOT_COORDINATOR,
    REBALANCING,
    TOPIC,
    Listener,
    MakeConsumer,
    MakeProducer,
    read,
    send,
)


@pytest.mark.asyncio
async def test_stop_commits_nothing(producers: MakeProducer, consumers: MakeConsumer) -> None:
    await send(producers(), b"1")
    for _ in range(2):
        consumer = consumers()
        await consumer.start(Listener())
        assert [m.value for m in await read(consumer, 1)] == [b"1"]
        await consumer.stop()


@pytest.mark.asyncio
async def test_partitions_of_others_are_left_out_of_a_commit(
    producers: MakeProducer, consumers: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    await send(producers(), b"1", b"2")
    consumer = consumers()
    await consumer.start(Listener())
    mine = TopicPartition(TOPIC, (await read(consumer, 2))[0].partition)
    with caplog.at_level(logging.WARNING, logger="cqrs"):
        await consumer.commit({mine: Position(1), TopicPartition("foreign", 4): Position(9)})
        await consumer.commit({})
    assert "took foreign[4] away" in caplog.text
    await consumer.stop()
    await consumer.start(Listener())
    assert [m.value for m in await read(consumer, 1)] == [b"2"]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [ILLEGAL_GENERATION, REBALANCING])
async def test_a_commit_of_a_member_that_was_left_behind_is_dropped(
    broker: EmbeddedBroker, consumers: MakeConsumer, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    consumer = consumers()
    await consumer.start(Listener())
    broker.fail_requests(ApiKey.OFFSET_COMMIT, code)
    with caplog.at_level(logging.WARNING, logger="cqrs"):
        await consumer.commit(dict.fromkeys(ALL, Position(1)))
    assert f"took {TOPIC}[0], {TOPIC}[1], {TOPIC}[2] away" in caplog.text


@pytest.mark.asyncio
async def test_a_commit_that_the_broker_refuses_is_an_error(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    consumer = consumers()
    await consumer.start(Listener())
    broker.fail_requests(ApiKey.OFFSET_COMMIT, METADATA_TOO_LARGE)
    with pytest.raises(DependencyUnavailableException, match=r"committing .* offset\.metadata\.max\.bytes"):
        await consumer.commit(dict.fromkeys(ALL, Position(1)))


@pytest.mark.asyncio
async def test_a_commit_that_fails_in_a_way_that_is_not_known_may_be_repeated(
    consumers: MakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    consumer, place = consumers(), TopicPartition(TOPIC, 0)
    await consumer.start(Listener())
    with pytest.raises(DependencyUnavailableException, match="surrogates not allowed"):
        await consumer.commit({place: Position(1, "\ud800")})
    assert "in a way that is not known" in caplog.text
    await consumer.commit({place: Position(1, "\U0001f980")})


@pytest.mark.asyncio
async def test_a_commit_survives_a_moment_s_trouble(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    consumer = consumers()
    await consumer.start(Listener())
    broker.fail_requests(ApiKey.OFFSET_COMMIT, NOT_COORDINATOR)
    await consumer.commit(dict.fromkeys(ALL, Position(0)))


@pytest.mark.asyncio
async def test_a_commit_while_the_broker_is_away_ends_in_time(broker: EmbeddedBroker, consumers: MakeConsumer) -> None:
    consumer = consumers(request_timeout_seconds=0.2)
    await consumer.start(Listener())
    broker.broker_down()
    with pytest.raises(DependencyUnavailableException, match=r"committing orders\.commands as orders"):
        await consumer.commit(dict.fromkeys(ALL, Position(1)))
