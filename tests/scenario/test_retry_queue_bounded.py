"""However many records fail, what is kept in memory is bounded, and the member stays in its group meanwhile."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do


class BusyException(Exception):
    retryable = True


RECORDS = 300
BUFFER = 20


@pytest.mark.asyncio
async def test_no_more_than_the_buffer_is_taken_up_while_everything_fails(tmp_path: Path) -> None:
    service = scripted.scripted(
        tmp_path,
        buffer=BUFFER,
        kafka_max_poll_records=10,
        retry_max_attempts=10**6,
        retry_max_seconds=3600,
        breaker_keys=0,
        retry_backoff_min_ms=20,
        retry_backoff_max_ms=20,
    )
    async with deployed(service) as found:
        stage = scripted.stage
        whats = [f"w-{number}" for number in range(RECORDS)]
        busy = [True]

        async def fail_while_busy() -> None:
            if busy[0]:
                raise BusyException("later")

        stage.scripts.update(dict.fromkeys(whats, fail_while_busy))
        for what in whats:
            await do(found, what)
        await stage.until(lambda: len(stage.begun) > 20 * BUFFER)
        assert len(set(stage.begun)) <= BUFFER + 10, "one poll may overshoot the limit, no more"
        busy[0] = False
        await stage.until(lambda: len(stage.done) == RECORDS)

    assert sorted(stage.done) == sorted(whats)
