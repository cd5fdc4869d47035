"""Nothing is committed before its handler has come to its end and its events are stored."""

from pathlib import Path

import pytest

from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from cqrs.testing.outside_groups import committed_offsets
from service.settings import COMMANDS, EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, deployed
from tests.scenario.scripted import do

REQUEST_TIMED_OUT = 7


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
            await do(found, "quick")
            await found.events(1)
            await do(found, "slow")
            await do(found, "behind")
            await stage.until(lambda: "behind" in stage.done)
            await found.events(2)
            assert found.client.committed("orders", COMMANDS).get(0, 0) <= 1, (
                "the handler of the second command has not come to its end"
            )
            broker.fail_requests(ApiKey.PRODUCE, *[REQUEST_TIMED_OUT] * 3)
            opened.set()
            events = await found.events(3)

        assert committed_offsets(broker.bootstrap_servers, "orders", COMMANDS) == {0: 3}
    assert sorted(str(each.value) for each in events) == [str({"what": what}) for what in ("behind", "quick", "slow")]
