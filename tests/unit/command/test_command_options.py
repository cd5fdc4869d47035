"""The options of command handlers and of the command bus: each does what it says."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from cqrs.authorization.types import AuthorizationResult
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.config.properties import AuthorizationProperties, CommandProperties, CqrsProperties
from cqrs.decorators import command_handler
from cqrs.exceptions import (
    CommandProcessingException,
    HandlerTimeoutException,
    UnexpectedResultException,
)
from cqrs.types import Command
from cqrs.validation.types import ValidationResult

Act = Callable[["Create"], Awaitable[object]]


@dataclass(frozen=True)
class Create(Command[str]):
    x: int = 1
    user: str = "admin"
    asked: list[str] = field(default_factory=list, compare=False)

    async def validate(self) -> ValidationResult:
        self.asked.append("validate")
        return ValidationResult.success() if self.x > 0 else ValidationResult.failure("x", "must be positive")

    async def authorize(self) -> AuthorizationResult:
        self.asked.append("authorize")
        return AuthorizationResult.success() if self.user == "admin" else AuthorizationResult.failure("order", "no")


@command_handler
class CreateHandler(CommandHandler[Create, str]):
    def __init__(self, act: Act | None = None) -> None:
        self.act = act
        self.handled: list[Create] = []

    async def do_handle(self, command: Create) -> str:
        command.asked.append("handle")
        self.handled.append(command)
        return "created" if self.act is None else await self.act(command)  # type: ignore[return-value]


class Recorded:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.retries = 0
        self.seconds: list[float] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        if name == "cqrs_handler_retries_total":
            self.retries += 1
        else:
            self.outcomes.append(labels["outcome"])

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        self.seconds.append(seconds)


def registry_of(*handlers: CommandHandler[Create, str]) -> HandlerRegistry:
    registry = HandlerRegistry()
    for handler in handlers:
        registry.register_command_handler(handler)
    return registry


def failing_with(error: BaseException) -> Act:
    async def act(command: Create) -> str:
        raise error

    return act


async def no_sleep(seconds: float) -> None:
    return None


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_validation_can_be_switched_off_for_a_handler() -> None:
    @command_handler(validation=False)
    class Trusting(CreateHandler):
        pass

    assert await DefaultCommandBus(registry_of(Trusting())).send(Create(x=0)) == "created"


async def hang(command: Create) -> str:
    await asyncio.Event().wait()
    return "never"


@pytest.mark.asyncio
async def test_a_handler_that_runs_past_its_own_limit_fails() -> None:
    @command_handler(timeout=0.01, retries=3)
    class Slow(CreateHandler):
        pass

    handler = Slow(hang)
    with pytest.raises(CommandProcessingException) as failed:
        await DefaultCommandBus(registry_of(handler)).send(Create())
    assert isinstance(failed.value.cause, HandlerTimeoutException)
    assert failed.value.cause.seconds == 0.01
    assert not failed.value.retryable
    assert len(handler.handled) == 1, "a handler that may have acted is not run again"


@pytest.mark.asyncio
async def test_the_limit_of_the_settings_holds_where_the_decorator_names_none() -> None:
    class Settings:
        timeout = 0.01
        metrics_enabled = tracing_enabled = True
        event_publication = "strict"

    class Properties:
        command = Settings()
        query = CqrsProperties().query
        authorization = AuthorizationProperties()

    bus = DefaultCommandBus(registry_of(CreateHandler(hang)), properties=Properties())  # type: ignore[arg-type]
    with pytest.raises(CommandProcessingException) as failed:
        await bus.send(Create())
    assert isinstance(failed.value.cause, HandlerTimeoutException)


@command_handler(retries=2, backoff_ms=100)
class Stubborn(CreateHandler):
    pass


def failing_times(times: int, error: Exception) -> Act:
    left = [error] * times

    async def act(command: Create) -> str:
        if left:
            raise left.pop()
        return "at last"

    return act


@pytest.mark.asyncio
async def test_a_failed_handler_is_tried_again_after_a_growing_wait() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    recorded = Recorded()
    bus = DefaultCommandBus(
        registry_of(Stubborn(failing_times(2, ValueError()))),
        metrics=CqrsMetricsService(recorded),
        timing=Timing(sleep=sleep, uniform=lambda low, high: high),
    )
    assert await bus.send(Create()) == "at last"
    assert slept == [0.1, 0.2]
    assert (recorded.retries, recorded.outcomes) == (2, ["success"])


@pytest.mark.asyncio
async def test_when_retries_run_out_the_last_error_is_the_cause() -> None:
    handler = Stubborn(failing_times(9, ValueError("again")))
    bus = DefaultCommandBus(registry_of(handler), timing=Timing(sleep=no_sleep))
    with pytest.raises(CommandProcessingException, match="again"):
        await bus.send(Create())
    assert len(handler.handled) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [TypeError(), CommandProcessingException("nested")], ids=repr)
async def test_what_cannot_succeed_is_tried_once(error: Exception) -> None:
    handler = Stubborn(failing_times(9, error))
    with pytest.raises(CommandProcessingException):
        await DefaultCommandBus(registry_of(handler), timing=Timing(sleep=no_sleep)).send(Create())
    assert len(handler.handled) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("command", [Create(x=0), Create(user="someone")])
async def test_a_refusal_is_tried_once(command: Create) -> None:
    handler = Stubborn()
    with pytest.raises(CommandProcessingException):
        await DefaultCommandBus(registry_of(handler), timing=Timing(sleep=no_sleep)).send(command)
    assert handler.handled == []
    assert len(command.asked) == len(set(command.asked))


@pytest.mark.asyncio
async def test_a_result_that_the_command_does_not_declare_is_a_failure() -> None:
    async def wrong(command: Create) -> int:
        return 3

    with pytest.raises(CommandProcessingException, match="returned int where its message declares str") as failed:
        await DefaultCommandBus(registry_of(CreateHandler(wrong))).send(Create())
    assert isinstance(failed.value.cause, UnexpectedResultException)


# -- metrics and settings --------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_every_outcome_is_counted_and_timed() -> None:
    recorded = Recorded()
    ticks = iter(range(100))
    timing = Timing(clock=lambda: float(next(ticks)))
    handlers = registry_of(CreateHandler())
    bus = DefaultCommandBus(handlers, metrics=CqrsMetricsService(recorded), timing=timing)
    failing = DefaultCommandBus(
        registry_of(CreateHandler(failing_with(ValueError()))), metrics=CqrsMetricsService(recorded), timing=timing
    )
    await bus.send(Create())
    for refusing, command in ((bus, Create(x=0)), (bus, Create(user="x")), (failing, Create())):
        with pytest.raises(CommandProcessingException):
            await refusing.send(command)
    assert recorded.outcomes == ["success", "validation_failure", "authorization_denied", "failure"]
    assert recorded.seconds == [1.0] * 4


@pytest.mark.asyncio
async def test_metrics_can_be_switched_off_for_a_handler_and_for_the_bus() -> None:
    @command_handler(metrics=False)
    class Uncounted(CreateHandler):
        pass

    recorded = Recorded()
    metrics = CqrsMetricsService(recorded)
    off = CqrsProperties(command=CommandProperties(metrics_enabled=False))
    await DefaultCommandBus(registry_of(Uncounted()), metrics=metrics).send(Create())
    await DefaultCommandBus(registry_of(CreateHandler()), metrics=metrics, properties=off).send(Create())
    assert recorded.outcomes == []


@pytest.mark.asyncio
async def test_metrics_that_fail_do_not_change_how_the_command_went(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(CqrsMetricsService):
        def record_command_success(self, command: object, seconds: float) -> None:
            raise OSError("no registry")

    assert await DefaultCommandBus(registry_of(CreateHandler()), metrics=Broken()).send(Create()) == "created"
    assert "metrics of Create could not be recorded" in caplog.text


@pytest.mark.asyncio
async def test_authorization_is_as_the_settings_say(caplog: pytest.LogCaptureFixture) -> None:
    off = CqrsProperties(authorization=AuthorizationProperties(enabled=False))
    bus = DefaultCommandBus(registry_of(CreateHandler()), properties=off)
    assert await bus.send(Create(user="someone")) == "created"
    assert caplog.text.count("Authorization is off") == 1
