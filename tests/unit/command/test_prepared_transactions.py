"""A transaction is asked whether it can commit before anybody sees the events of its command."""

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.unit_of_work import NoUnitOfWork, UnitOfWorkException
from cqrs.event.emission import emit
from cqrs.exceptions import CommandProcessingException
from tests.unit.command.test_transactions import Create, CreateHandler, Log, Retried, bus_of, emitting


@pytest.mark.asyncio
async def test_nothing_is_published_of_a_transaction_that_cannot_commit() -> None:
    log = Log()
    log.failing_preparation = UnitOfWorkException("its handler caught an error", KeyError("k"))
    command = Create(domain_events=["sent along"])
    with pytest.raises(CommandProcessingException) as failed:
        await bus_of(log, CreateHandler(emitting)).send(command)
    assert failed.value.cause is log.failing_preparation
    assert log.entries == ["begin transaction", "refuse to commit", "roll back transaction"]
    assert command.domain_events == ["sent along"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("caught", "attempts"), [(KeyError("k"), 3), (TypeError("a defect"), 1), (None, 1)], ids=repr)
async def test_a_transaction_that_cannot_commit_is_tried_again_as_what_its_handler_caught_would_be(
    caught: Exception | None, attempts: int
) -> None:
    log = Log()
    log.failing_preparation = UnitOfWorkException("it cannot commit", caught)
    with pytest.raises(CommandProcessingException):
        await bus_of(log, Retried(emitting)).send(Create())
    assert log.entries.count("begin transaction") == attempts
    assert log.entries.count("roll back transaction") == attempts


@pytest.mark.asyncio
async def test_a_nested_command_learns_at_its_own_end_that_its_part_cannot_commit() -> None:
    log, buses = Log(), list[DefaultCommandBus]()

    async def act(command: Create) -> str:
        emit(f"event of {command.name}")
        log.failing_preparation = UnitOfWorkException("a part") if command.name == "inner" else None
        if command.name == "outer":
            with pytest.raises(CommandProcessingException, match="a part"):
                await buses[0].send(Create("inner"))
            log.failing_preparation = None
        return "id"

    buses.append(bus_of(log, CreateHandler(act)))
    await buses[0].send(Create())
    assert log.entries == [
        "begin transaction",
        "begin savepoint",
        "refuse to commit",
        "roll back savepoint",
        "publish event of outer",
        "commit transaction",
        "evict outer",
    ]


@pytest.mark.asyncio
async def test_without_a_unit_of_work_there_is_nothing_to_prepare() -> None:
    unit = NoUnitOfWork()
    async with unit.begin():
        await unit.prepare()
