"""Two failing records of one partition are both retried or put aside: neither makes the other one disappear."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do


class BusyException(Exception):
    retryable = True


@pytest.mark.asyncio
async def test_both_are_retried(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage = scripted.stage
        stage.fails("first", BusyException("once more"), times=3)
        stage.fails("second", BusyException("once more"), times=2)
        for what in ("first", "second", "third"):
            await do(found, what)
        events = await found.events(3)

    assert sorted(str(each.value) for each in events) == [str({"what": what}) for what in ("first", "second", "third")]
    assert (stage.begun.count("first"), stage.begun.count("second"), stage.begun.count("third")) == (4, 3, 1)


@pytest.mark.asyncio
async def test_both_are_put_aside_when_their_attempts_run_out(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path, retry_max_attempts=3)) as found:
        stage = scripted.stage
        for what in ("first", "second"):
            stage.fails(what, BusyException(what))
        for what in ("first", "second", "third"):
            await do(found, what)
        await found.events(1)
        letters = await found.letters(2)

    causes = {dict(each.headers)["kafka_dlt-exception-fqcn"] for each in letters}
    assert causes == {b"cqrs.messaging.retry.RetriesExhaustedException"}
    assert {each.key for each in letters} == {b"first", b"second"}
    assert (stage.begun.count("first"), stage.begun.count("second")) == (3, 3)
