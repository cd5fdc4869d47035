"""A dead letter that is not acknowledged settles nothing: it is sent again, and the handler is not run again."""

from pathlib import Path

import pytest

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.settings import COMMANDS, EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, deployed
from tests.scenario.scripted import do

NOT_ENOUGH_REPLICAS = 19


@pytest.mark.asyncio
async def test_the_letter_is_sent_again_until_it_is_stored(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        for topic in (COMMANDS, DEAD_LETTERS, EVENTS):
            broker.create_topic(topic, 1)
        service = scripted.scripted(
            tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, kafka_request_timeout_ms=1_000
        )
        async with deployed(service) as found:
            stage = scripted.stage
            stage.fails("bad", ValueError("never"))
            broker.fail_topic(DEAD_LETTERS, NOT_ENOUGH_REPLICAS)
            await do(found, "bad")
            await found.unready(f"dead letter topic {DEAD_LETTERS}")
            broker.fail_topic(DEAD_LETTERS, 0)
            (letter,) = await found.letters(1)

    assert letter.key == b"bad"
    assert stage.begun == ["bad"]
