"""While a dead letter cannot be stored its record stays, its handler is not run again, and readiness says why."""

from pathlib import Path

import pytest

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.settings import COMMANDS, EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, deployed
from tests.scenario.scripted import do

UNKNOWN_TOPIC_OR_PARTITION = 3


@pytest.mark.asyncio
async def test_the_record_waits_and_other_keys_go_on(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        for topic in (COMMANDS, DEAD_LETTERS, EVENTS):
            broker.create_topic(topic, 1)
        service = scripted.scripted(tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers)
        async with deployed(service) as found:
            stage = scripted.stage
            opened = stage.waits("good")
            stage.fails("bad", ValueError("never"))
            broker.fail_topic(DEAD_LETTERS, UNKNOWN_TOPIC_OR_PARTITION)
            await do(found, "bad")
            await do(found, "good")
            await stage.until(lambda: stage.begun == ["bad", "good"])
            opened.set()
            await found.events(1)
            await found.unready(f"1 record waits for dead letter topic {DEAD_LETTERS}")
            broker.fail_topic(DEAD_LETTERS, 0)
            (letter,) = await found.letters(1)

    assert letter.key == b"bad"
    assert stage.begun == ["bad", "good"], "the handler that refused it is not asked again"
