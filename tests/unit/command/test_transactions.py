"""Commands in a unit of work: events before the commit, nothing left of a failure, nested ones part of the outer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.decorators import command_handler
from cqrs.event.emission import emit
from cqrs.exceptions import CommandProcessingException, DependencyUnavailableException
from cqrs.types import Command


class Log:
    """Be a unit of work and a publisher at once, which note what happens in which order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.depth = 0
        self.failing_publication: Exception | None = None
        self.failing_commit: Exception | None = None
        self.failing_preparation: Exception | None = None

    def begin(self) -> AbstractAsyncContextManager[None]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[None]:
        name = "transaction" if self.depth == 0 else "savepoint"
        self.entries.append(f"begin {name}")
        self.depth += 1
        try:
            yield
            if self.failing_commit is not None:
                raise self.failing_commit
        except BaseException:
            self.entries.append(f"roll back {name}")
            raise
        else:
            self.entries.append(f"commit {name}")
        finally:
            self.depth -= 1

    async def prepare(self) -> None:
        if self.failing_preparation is not None:
            self.entries.append("refuse to commit")
            raise self.failing_preparation

    async def publish(self, event: object, *, destination: str | None = None) -> None:
        if self.failing_publication is not None:
            raise self.failing_publication
        self.entries.append(f"publish {event}")

    async def evict(self, key: str) -> None:
        self.entries.append(f"evict {key}")


@dataclass(frozen=True)
class Create(Command[str]):
    name: str = "outer"
    domain_events: list[object] = field(default_factory=list)

    def get_cache_key(self) -> str | None:
        return self.name


class Cache:
    is_available = True

    def __init__(self, log: Log) -> None:
        self.log = log

    async def get(self, key: str) -> object:
        raise AssertionError("commands read no cache")

    async def put(self, key: str, value: object, ttl: object = None) -> None:
        raise AssertionError("commands fill no cache")

    async def evict(self, key: str) -> None:
        self.log.entries.append(f"evict {key}")

    async def clear(self) -> None:
        raise AssertionError("commands clear no cache")


Act = Callable[[Create], Awaitable[str]]


@command_handler
class CreateHandler(CommandHandler[Create, str]):
    def __init__(self, act: Act) -> None:
        self.act = act

    async def do_handle(self, command: Create) -> str:
        return await self.act(command)


@command_handler(retries=2)
class Retried(CreateHandler):
    pass


async def no_sleep(seconds: float) -> None:
    return None


def bus_of(log: Log, handler: CreateHandler) -> DefaultCommandBus:
    bus = DefaultCommandBus(
        HandlerRegistry(),
        event_publisher=log,
        unit_of_work=log,
        cache_adapter=Cache(log),
        timing=Timing(sleep=no_sleep),
    )
    bus.register_handler(handler)
    return bus


async def emitting(command: Create) -> str:
    emit(f"event of {command.name}")
    return "id"


@pytest.mark.asyncio
async def test_events_are_accepted_before_the_commit_and_results_evicted_after_it() -> None:
    log = Log()
    assert await bus_of(log, CreateHandler(emitting)).send(Create()) == "id"
    assert log.entries == ["begin transaction", "publish event of outer", "commit transaction", "evict outer"]


@pytest.mark.asyncio
async def test_a_failed_handler_is_rolled_back_and_nothing_is_published_or_evicted() -> None:
    async def act(command: Create) -> str:
        emit("event")
        raise ValueError

    log = Log()
    with pytest.raises(CommandProcessingException):
        await bus_of(log, CreateHandler(act)).send(Create())
    assert log.entries == ["begin transaction", "roll back transaction"]


@pytest.mark.asyncio
async def test_a_failed_publication_rolls_the_state_back() -> None:
    log = Log()
    log.failing_publication = DependencyUnavailableException("kafka", "away")
    command = Create(domain_events=["sent along"])
    with pytest.raises(CommandProcessingException) as failed:
        await bus_of(log, CreateHandler(emitting)).send(command)
    assert failed.value.retryable
    assert log.entries == ["begin transaction", "roll back transaction"]
    assert command.domain_events == ["sent along"]


@pytest.mark.asyncio
async def test_a_failed_commit_fails_the_command() -> None:
    log = Log()
    log.failing_commit = DependencyUnavailableException("database", "went away")
    with pytest.raises(CommandProcessingException) as failed:
        await bus_of(log, CreateHandler(emitting)).send(Create())
    assert failed.value.cause is log.failing_commit
    assert failed.value.retryable
    assert "evict outer" not in log.entries


@pytest.mark.asyncio
async def test_every_attempt_has_a_transaction_of_its_own_and_none_is_open_between() -> None:
    log = Log()
    attempts: list[int] = []

    async def act(command: Create) -> str:
        attempts.append(1)
        emit(f"event {len(attempts)}")
        if len(attempts) < 3:
            raise ValueError
        return "id"

    await bus_of(log, Retried(act)).send(Create())
    assert log.entries == [
        *["begin transaction", "roll back transaction"] * 2,
        "begin transaction",
        "publish event 3",
        "commit transaction",
        "evict outer",
    ]


@pytest.mark.asyncio
async def test_retries_run_out_in_a_transaction_too() -> None:
    async def act(command: Create) -> str:
        raise ValueError("always")

    log = Log()
    with pytest.raises(CommandProcessingException, match="always"):
        await bus_of(log, Retried(act)).send(Create())
    assert log.entries.count("begin transaction") == 3


@pytest.mark.asyncio
async def test_cancellation_rolls_back_and_gives_the_events_back() -> None:
    log = Log()
    entered = asyncio.Event()

    async def act(command: Create) -> str:
        command.domain_events.append("of the handler")
        entered.set()
        await asyncio.Event().wait()
        return "id"

    command = Create(domain_events=["sent along"])
    task = asyncio.create_task(bus_of(log, CreateHandler(act)).send(command))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.entries == ["begin transaction", "roll back transaction"]
    assert command.domain_events == ["sent along"]


# -- nested commands -------------------------------------------------------------------------------------------------


def nesting(bus: list[DefaultCommandBus], then: Exception | None = None, catch: bool = False) -> Act:
    async def act(command: Create) -> str:
        if command.name != "outer":
            emit(f"event of {command.name}")
            if command.name == "failing":
                raise ValueError(command.name)
            return "inner"
        emit("before")
        for name in ("inner", "failing") if catch else ("inner",):
            try:
                await bus[0].send(Create(name))
            except CommandProcessingException:
                assert catch
        emit("after")
        if then is not None:
            raise then
        return "outer"

    return act


@pytest.mark.asyncio
async def test_events_of_a_nested_command_wait_for_the_outer_one_and_go_out_first() -> None:
    log, buses = Log(), list[DefaultCommandBus]()
    buses.append(bus_of(log, CreateHandler(nesting(buses))))
    await buses[0].send(Create())
    assert log.entries == [
        "begin transaction",
        "begin savepoint",
        "commit savepoint",
        "publish event of inner",
        "publish before",
        "publish after",
        "commit transaction",
        "evict inner",
        "evict outer",
    ]


@pytest.mark.asyncio
async def test_when_the_outer_command_fails_nothing_of_the_nested_one_is_left() -> None:
    log, buses = Log(), list[DefaultCommandBus]()
    buses.append(bus_of(log, CreateHandler(nesting(buses, then=ValueError()))))
    with pytest.raises(CommandProcessingException):
        await buses[0].send(Create())
    assert log.entries == ["begin transaction", "begin savepoint", "commit savepoint", "roll back transaction"]


@pytest.mark.asyncio
async def test_a_nested_command_that_fails_undoes_only_itself() -> None:
    log, buses = Log(), list[DefaultCommandBus]()
    buses.append(bus_of(log, CreateHandler(nesting(buses, catch=True))))
    assert await buses[0].send(Create()) == "outer"
    assert [entry for entry in log.entries if entry.startswith("publish")] == [
        "publish event of inner",
        "publish before",
        "publish after",
    ]
    assert "roll back savepoint" in log.entries
    assert "evict failing" not in log.entries


@pytest.mark.asyncio
async def test_a_command_in_another_unit_of_work_publishes_for_itself() -> None:
    own, other = Log(), Log()
    inner_bus = bus_of(other, CreateHandler(emitting))

    async def act(command: Create) -> str:
        await inner_bus.send(Create("inner"))
        raise ValueError

    with pytest.raises(CommandProcessingException):
        await bus_of(own, CreateHandler(act)).send(Create())
    assert other.entries == ["begin transaction", "publish event of inner", "commit transaction", "evict inner"]


@pytest.mark.asyncio
async def test_a_task_that_outlives_its_command_publishes_its_own_events() -> None:
    log = Log()
    go_on, tasks = asyncio.Event(), list[asyncio.Task[str]]()
    buses: list[DefaultCommandBus] = []

    async def act(command: Create) -> str:
        if command.name == "outer":
            tasks.append(asyncio.create_task(later()))
        else:
            emit("late")
        return "id"

    async def later() -> str:
        await go_on.wait()
        return await buses[0].send(Create("inner"))

    buses.append(bus_of(log, CreateHandler(act)))
    await buses[0].send(Create())
    go_on.set()
    await tasks[0]
    assert "publish late" in log.entries
    assert "evict inner" in log.entries


@pytest.mark.asyncio
async def test_a_task_whose_command_ends_meanwhile_publishes_late_rather_than_never() -> None:
    log = Log()
    inner_handled, outer_done, tasks = asyncio.Event(), asyncio.Event(), list[asyncio.Task[str]]()
    buses: list[DefaultCommandBus] = []

    class Unit(Log):
        @asynccontextmanager
        async def _begin(self) -> AsyncIterator[None]:
            async with super()._begin():
                yield
                if asyncio.current_task() in tasks:  # its handler is done, its savepoint not yet released
                    inner_handled.set()
                    await outer_done.wait()

    async def act(command: Create) -> str:
        if command.name == "outer":
            tasks.append(asyncio.create_task(buses[0].send(Create("inner"))))
            await inner_handled.wait()
        else:
            emit("late")
        return "id"

    log = Unit()
    buses.append(bus_of(log, CreateHandler(act)))
    await buses[0].send(Create())
    assert "publish late" not in log.entries
    outer_done.set()
    await tasks[0]
    assert log.entries[-2:] == ["publish late", "evict inner"]


# -- the cache -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_cache_that_fails_does_not_fail_the_command_that_is_done(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Cache):
        async def evict(self, key: str) -> None:
            raise OSError("away")

    log = Log()
    bus = DefaultCommandBus(HandlerRegistry(), cache_adapter=Broken(log))
    bus.register_handler(CreateHandler(emitting))
    assert await bus.send(Create()) == "id"
    assert "kept what Create made stale" in caplog.text


@pytest.mark.asyncio
async def test_without_a_unit_of_work_results_are_evicted_after_the_events() -> None:
    log = Log()
    bus = DefaultCommandBus(HandlerRegistry(), event_publisher=log, cache_adapter=Cache(log))
    bus.register_handler(CreateHandler(emitting))
    await bus.send(Create())
    assert log.entries == ["publish event of outer", "evict outer"]
