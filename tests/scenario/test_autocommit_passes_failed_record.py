"""There is no commit but ours: while a record fails, the group's offset does not pass it, however long that takes."""

from pathlib import Path

import pytest

from service.settings import COMMANDS
from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do


class BusyException(Exception):
    retryable = True


@pytest.mark.asyncio
async def test_the_offset_stays_at_the_failing_record_while_later_ones_are_done_and_committed(tmp_path: Path) -> None:
    service = scripted.scripted(tmp_path, commit_interval_ms=1, retry_max_attempts=10**6, retry_max_seconds=3600)
    async with deployed(service) as found:
        stage = scripted.stage
        stage.fails("failing", BusyException("later"))
        await do(found, "first")
        await do(found, "failing")
        await stage.until(lambda: stage.begun.count("failing") > 1)
        for number in range(20):
            await do(found, f"good-{number}")
        await stage.until(lambda: len(stage.done) == 21)
        await stage.until(lambda: stage.begun.count("failing") > 20)
        assert found.client.committed("orders", COMMANDS) == {0: 1}
        del stage.scripts["failing"]
        await stage.until(lambda: "failing" in stage.done)
        await found.service.stop_consuming()
        assert found.client.committed("orders", COMMANDS) == {0: 22}
