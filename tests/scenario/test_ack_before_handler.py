"""Nothing is committed before its handler has come to its end and its events are stored."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from service.settings import COMMANDS, EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, SECONDS, deployed
from tests.scenario.scripted import do

REQUEST_TIMED_OUT = 7


def committed(broker: EmbeddedBroker) -> int:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "orders"})
    try:
        [position] = consumer.committed([TopicPartition(COMMANDS, 0)], SECONDS)
        return max(position.offset, 0)
    finally:
        consumer.close()


@pytest.mark.asyncio
async def test_the_offset_waits_for_the_handler_and_for_the_event(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        for topic in (COMMANDS, DEAD_LETTERS, EVENTS):
            broker.create_topic(topic, 1)
        service = scripted.scripted(
            tmp_path,
            kafka_bootstrap_servers=broker.bootstrap_servers,
            commit_interval_ms=1,
            kafka_session_timeout_ms=1_000,
        )
        async with deployed(service) as found:
            stage = scripted.stage
            opened = stage.waits("slow")
            do(found, "quick")
            await found.events(1)
            do(found, "slow")
            do(found, "behind")
            await stage.until(lambda: "behind" in stage.done)
            await found.events(2)
            assert committed(broker) <= 1, "the handler of the second command has not come to its end"
            broker.fail_requests(ApiKey.PRODUCE, *[REQUEST_TIMED_OUT] * 3)
            opened.set()
            events = await found.events(3)

        assert committed(broker) == 3
    assert sorted(str(each.value) for each in events) == [str({"what": what}) for what in ("behind", "quick", "slow")]
