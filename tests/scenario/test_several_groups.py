"""One process reads several command topics in several groups, and each command is run once."""

from pathlib import Path

import pytest

from service.settings import EVENTS
from tests.scenario import scripted
from tests.scenario.deployment import deployed

TOPICS = {"a.commands": 1, "a.urgent": 1, "b.commands": 1, EVENTS: 1}


@pytest.mark.asyncio
async def test_each_groups_topics_are_read_and_each_refusal_goes_beside_its_topic(tmp_path: Path) -> None:
    groups = {"a": ("a.commands", "a.urgent"), "b": ("b.commands",)}
    service = scripted.scripted(tmp_path, topics=TOPICS, command_groups=groups, command_topics=tuple(TOPICS)[:3])
    async with deployed(service) as found:
        stage = scripted.stage
        stage.fails("b-bad", ValueError("never"))
        for topic, what in (("a.commands", "a-1"), ("a.urgent", "a-2"), ("b.commands", "b-1"), ("b.commands", "b-bad")):
            value = f'{{"what": "{what}"}}'.encode()
            await found.produce(value, (("ce_type", b"t.Do"),), key=what.encode(), topic=topic)
        events = await found.events(3)
        letters = await found.until("b.commands-dlt", lambda seen: len(seen) >= 1)

    assert sorted(str(each.value) for each in events) == [str({"what": what}) for what in ("a-1", "a-2", "b-1")]
    assert sorted(stage.begun) == ["a-1", "a-2", "b-1", "b-bad"]
    assert dict(letters[0].message.headers)["kafka_dlt-original-consumer-group"] == b"b"
