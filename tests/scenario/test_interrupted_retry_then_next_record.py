"""A retry that a stop or a rebalance interrupts is not forgotten: the next owner begins with that record."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do


class BusyException(Exception):
    retryable = True


@pytest.mark.asyncio
async def test_a_stop_in_the_middle_of_retries_leaves_the_record_and_its_followers_to_the_next_process(
    tmp_path: Path,
) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=10**6, retry_max_seconds=3600)) as found:
        stage = scripted.stage
        stage.fails("a-1", BusyException("later"))
        await do(found, "a-1", key="a")
        await do(found, "a-2", key="a")
        await stage.until(lambda: stage.begun.count("a-1") >= 3)
        await found.service.stop_consuming()
        assert "a-2" not in stage.begun

        async with deployed(scripted.scripted(tmp_path, kafka_bootstrap_servers=found.service.bootstrap_servers)):
            stage = scripted.stage
            await stage.until(lambda: len(stage.done) == 2)

    assert stage.begun == ["a-1", "a-2"]
