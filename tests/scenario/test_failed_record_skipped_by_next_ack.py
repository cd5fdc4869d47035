"""A later success does not step over an earlier failure: the failed record is still there for the next process."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do


class BusyException(Exception):
    retryable = True


@pytest.mark.asyncio
async def test_a_failed_record_is_run_again_by_the_next_process_although_later_ones_were_done(tmp_path: Path) -> None:
    first = scripted.scripted(tmp_path, retry_backoff_min_ms=60_000, retry_backoff_max_ms=60_000)
    async with deployed(first) as found:
        stage = scripted.stage
        stage.fails("failing", BusyException("later"))
        for what in ("failing", "good-1", "good-2"):
            await do(found, what)
        await stage.until(lambda: stage.done == ["good-1", "good-2"])
        await found.service.stop_consuming()

        second = scripted.scripted(tmp_path, kafka_bootstrap_servers=found.service.bootstrap_servers)
        async with deployed(second):
            await scripted.stage.until(lambda: scripted.stage.done == ["failing"])

    assert scripted.stage.begun == ["failing"], (
        "what was done behind it is not run again: it was in the commit's metadata"
    )


@pytest.mark.asyncio
async def test_followers_of_the_same_key_wait_and_run_in_order_behind_it(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage = scripted.stage
        stage.fails("a-1", BusyException("later"), times=4)
        for what in ("a-1", "a-2", "a-3"):
            await do(found, what, key="a")
        await stage.until(lambda: len(stage.done) == 3)

    assert stage.begun == ["a-1"] * 5 + ["a-2", "a-3"]
    assert stage.done == ["a-1", "a-2", "a-3"]
