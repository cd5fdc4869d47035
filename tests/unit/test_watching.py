import asyncio

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.watching import DependencyWatch

pytestmark = pytest.mark.asyncio


class Dependency:
    """Be well or not, and say when it was asked."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = asyncio.Event()

    async def check(self) -> None:
        self.asked.set()
        if self.error is not None:
            raise self.error

    async def was_asked(self) -> None:
        self.asked.clear()
        await asyncio.wait_for(self.asked.wait(), 10)
        await asyncio.sleep(0)


async def test_what_each_said_last_is_known() -> None:
    database, registry = Dependency(), Dependency()
    watch = DependencyWatch({"database": database.check, "registry": registry.check}, interval_seconds=0.001)
    assert watch.problems == {"database": None, "registry": None}
    watch.start()
    try:
        database.error = DependencyUnavailableException("database", "db:5432 is shut")
        await database.was_asked()
        assert "db:5432 is shut" in str(watch.problems["database"])
        assert watch.problems["registry"] is None

        database.error = None
        await database.was_asked()
        assert watch.problems["database"] is None
    finally:
        await watch.stop()


async def test_one_that_never_answers_is_not_well_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cqrs.watching.CHECK_SECONDS", 0.01)
    quick = Dependency()

    async def never() -> None:
        await asyncio.Event().wait()

    watch = DependencyWatch({"slow": never, "quick": quick.check}, interval_seconds=0.001)
    watch.start()
    try:
        async with asyncio.timeout(10):
            while watch.problems["slow"] is None:
                await quick.was_asked()
        assert watch.problems["slow"] == "no answer within 0 s"
        assert watch.problems["quick"] is None
    finally:
        await watch.stop()


async def test_stopped_it_asks_no_more_and_may_be_stopped_again() -> None:
    dependency = Dependency()
    watch = DependencyWatch({"database": dependency.check}, interval_seconds=0.001)
    watch.start()
    await dependency.was_asked()
    await watch.stop()
    await watch.stop()
    dependency.asked.clear()
    await asyncio.sleep(0.02)

    assert not dependency.asked.is_set()


async def test_whatever_a_check_raises_is_told(caplog: pytest.LogCaptureFixture) -> None:
    dependency = Dependency()
    dependency.error = ZeroDivisionError()
    watch = DependencyWatch({"producer": dependency.check}, interval_seconds=0.001)
    watch.start()
    await dependency.was_asked()
    await dependency.was_asked()
    await watch.stop()

    assert watch.problems == {"producer": "ZeroDivisionError"}
    assert [record.message for record in caplog.records] == ["producer is not well: ZeroDivisionError"]
