"""A crash after records finished out of order runs the unfinished ones again, and not those that the commit names."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do

WHATS = [f"w-{number}" for number in range(10)]


@pytest.mark.asyncio
async def test_the_next_process_runs_what_was_unfinished_and_nothing_else(tmp_path: Path) -> None:
    async with deployed(
        scripted.scripted(tmp_path, commit_interval_ms=10, shutdown_timeout_seconds=0.1, kafka_session_timeout_ms=1_000)
    ) as found:
        stage = scripted.stage
        for what in ("w-0", "w-4"):
            stage.waits(what)
        for what in WHATS:
            await do(found, what)
        await stage.until(lambda: len(stage.done) == 8)
        await found.events(8)
        await found.service.stop_consuming()  # its budget passes: it is cut off as by a crash, w-0 and w-4 in hand

        async with deployed(scripted.scripted(tmp_path, kafka_bootstrap_servers=found.service.bootstrap_servers)):
            await scripted.stage.until(lambda: len(scripted.stage.done) == 2)
        events = await found.events(10)

    assert sorted(scripted.stage.begun) == ["w-0", "w-4"]
    assert sorted(str(each.value) for each in events) == [str({"what": what}) for what in WHATS], "each once"
