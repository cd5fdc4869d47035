"""The command bus: what each step of the pipeline does, and what leaves it when one fails."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import command_handler
from cqrs.exceptions import (
    CommandHandlerNotFoundException,
    CommandProcessingException,
    DependencyUnavailableException,
)
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import Command
from cqrs.validation.exceptions import CqrsValidationException
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


def registry_of(*handlers: CommandHandler[Create, str]) -> HandlerRegistry:
    registry = HandlerRegistry()
    for handler in handlers:
        registry.register_command_handler(handler)
    return registry


def failing_with(error: BaseException) -> Act:
    async def act(command: Create) -> str:
        raise error

    return act


# -- the pipeline ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_bus_built_with_the_registry_alone_validates_authorizes_and_handles_in_that_order() -> None:
    bus = DefaultCommandBus(registry=registry_of(CreateHandler()))
    command = Create()
    assert await bus.send(command) == "created"
    assert command.asked == ["validate", "authorize", "handle"]
    assert isinstance(bus, CommandBus)


@pytest.mark.asyncio
async def test_an_invalid_command_is_both_kinds_of_exception_and_is_not_handled() -> None:
    bus = DefaultCommandBus(registry=registry_of(CreateHandler()))
    command = Create(x=0)
    with pytest.raises(CqrsValidationException) as refused:
        await bus.send(command)
    error = refused.value
    assert isinstance(error, CommandProcessingException)
    assert error.command_type is Create
    assert error.result.error_messages() == ["x: must be positive"]
    assert type(error.cause) is CqrsValidationException
    assert error.__cause__ is error.cause
    assert not error.retryable
    assert "Create is not valid: x: must be positive" in str(error)
    assert command.asked == ["validate"]


@pytest.mark.asyncio
async def test_a_denied_command_is_both_kinds_of_exception_and_is_not_handled() -> None:
    bus = DefaultCommandBus(registry=registry_of(CreateHandler()))
    command = Create(user="someone")
    with pytest.raises(AuthorizationException) as refused:
        await bus.send(command)
    error = refused.value
    assert isinstance(error, CommandProcessingException)
    assert error.command_type is Create
    assert error.result.error_messages() == ["order: no"]
    assert type(error.cause) is AuthorizationException
    assert command.asked == ["validate", "authorize"]


@pytest.mark.asyncio
async def test_a_hook_that_returns_nothing_is_a_refusal() -> None:
    @dataclass(frozen=True)
    class Careless(Create):
        async def authorize(self) -> AuthorizationResult:
            return None  # type: ignore[return-value]

    class CarelessHandler(CommandHandler[Careless, str]):
        async def do_handle(self, command: Careless) -> str:
            raise AssertionError("never handled")

    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(CarelessHandler())
    with pytest.raises(AuthorizationException):
        await bus.send(Careless())


@pytest.mark.asyncio
async def test_a_handlers_failure_is_wrapped_and_its_chain_kept() -> None:
    failure = KeyError("own")
    bus = DefaultCommandBus(registry=registry_of(CreateHandler(failing_with(failure))))
    with pytest.raises(CommandProcessingException) as failed:
        await bus.send(Create())
    assert failed.value.cause is failure
    assert failed.value.__cause__ is failure
    assert failed.value.command_type is Create
    assert str(failed.value) == "Create failed: KeyError: 'own'"
    assert not isinstance(failed.value, CqrsValidationException | AuthorizationException)


@pytest.mark.asyncio
async def test_a_dependency_that_is_away_is_recognisable_through_the_wrapping() -> None:
    away = DependencyUnavailableException("database", "refused")
    inner = DefaultCommandBus(registry=registry_of(CreateHandler(failing_with(away))))

    async def nested(command: Create) -> str:
        return await inner.send(Create())

    outer = DefaultCommandBus(registry=registry_of(CreateHandler(nested)))
    with pytest.raises(CommandProcessingException) as failed:
        await outer.send(Create())
    assert failed.value.retryable
    assert isinstance(failed.value.cause, CommandProcessingException)
    assert failed.value.cause.cause is away


@pytest.mark.asyncio
async def test_a_refusal_raised_by_the_handler_is_a_refusal_and_a_nested_one_a_failure() -> None:
    denied = AuthorizationException(AuthorizationResult.failure("order", "not yours"))
    bus = DefaultCommandBus(registry=registry_of(CreateHandler(failing_with(denied))))
    with pytest.raises(AuthorizationException):
        await bus.send(Create())

    async def nested(command: Create) -> str:
        return await bus.send(Create())

    outer = DefaultCommandBus(registry=registry_of(CreateHandler(nested)))
    with pytest.raises(CommandProcessingException) as failed:
        await outer.send(Create())
    assert type(failed.value) is CommandProcessingException


@pytest.mark.asyncio
async def test_cancellation_passes_unwrapped() -> None:
    bus = DefaultCommandBus(registry=registry_of(CreateHandler(failing_with(asyncio.CancelledError()))))
    with pytest.raises(asyncio.CancelledError):
        await bus.send(Create())


@pytest.mark.asyncio
async def test_a_command_without_a_handler_is_told_so() -> None:
    with pytest.raises(CommandHandlerNotFoundException, match="Create"):
        await DefaultCommandBus(registry=HandlerRegistry()).send(Create())


@pytest.mark.asyncio
async def test_handlers_come_and_go() -> None:
    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(CreateHandler())
    assert bus.has_handler(Create)
    assert await bus.send(Create()) == "created"

    assert bus.unregister_handler(Create) is True
    assert bus.unregister_handler(Create) is False
    assert not bus.has_handler(Create)
    with pytest.raises(CommandHandlerNotFoundException):
        await bus.send(Create())


@pytest.mark.asyncio
async def test_a_handler_of_lower_priority_takes_over_even_after_the_first_send() -> None:
    @command_handler(priority=-1)
    class Faster(CommandHandler[Create, str]):
        async def do_handle(self, command: Create) -> str:
            return "faster"

    registry = registry_of(CreateHandler())
    bus = DefaultCommandBus(registry=registry)
    assert await bus.send(Create()) == "created"
    registry.register_command_handler(Faster())
    assert await bus.send(Create()) == "faster"


@pytest.mark.asyncio
async def test_services_that_are_given_are_asked() -> None:
    asked: list[object] = []

    class Validation(CommandValidationService):
        async def validate_command(self, command: object) -> ValidationResult:
            asked.append(command)
            return ValidationResult.success()

    class Authorization(AuthorizationService):
        async def authorize_command(self, command: object, context: ExecutionContext | None = None) -> None:
            asked.append(context)

    bus = DefaultCommandBus(registry_of(CreateHandler()), Validation(), Authorization())
    command, context = Create(x=0, user="someone"), DefaultExecutionContext()
    await bus.send_with_context(command, context)
    assert asked == [command, context]


@pytest.mark.asyncio
async def test_few_frames_lie_between_send_and_do_handle() -> None:
    stack: list[str] = []

    async def look(command: Create) -> str:
        stack.extend(frame.name for frame in traceback.extract_stack())
        return "created"

    await DefaultCommandBus(registry=registry_of(CreateHandler(look))).send(Create())
    between = stack[stack.index("send") + 1 : stack.index("do_handle")]
    if "send" in between:  # Coroutine.send is a C function and has no frame; this keeps the count honest if it gets one
        raise AssertionError(between)
    assert between == ["run", "_directly", "run", "finish_by"]


# -- context ---------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_context_reaches_the_authorization_and_the_context_aware_handler() -> None:
    @dataclass(frozen=True)
    class Transfer(Command[str]):
        async def authorize_with_context(self, ctx: ExecutionContext) -> AuthorizationResult:
            allowed = ctx.user_id == "u-1"
            return AuthorizationResult.success() if allowed else AuthorizationResult.failure("transfer", "no")

    class TransferHandler(ContextAwareCommandHandler[Transfer, str]):
        async def do_handle_with_context(self, command: Transfer, context: ExecutionContext) -> str:
            return f"for-{context.user_id}"

    bus = DefaultCommandBus(registry=HandlerRegistry())
    bus.register_handler(TransferHandler())
    assert await bus.send_with_context(Transfer(), DefaultExecutionContext(user_id="u-1")) == "for-u-1"
    with pytest.raises(AuthorizationException):
        await bus.send_with_context(Transfer(), DefaultExecutionContext(user_id="u-2"))
    with pytest.raises(AuthorizationException):  # it decides by its context, and has none
        await bus.send(Transfer())


@pytest.mark.asyncio
async def test_a_context_aware_handler_without_a_context_fails_and_is_named() -> None:
    class Aware(ContextAwareCommandHandler[Create, str]):
        async def do_handle_with_context(self, command: Create, context: ExecutionContext) -> str:
            return ""

    with pytest.raises(CommandProcessingException, match="Aware requires an ExecutionContext") as failed:
        await DefaultCommandBus(registry=registry_of(Aware())).send(Create())
    assert type(failed.value.cause) is RuntimeError


@pytest.mark.asyncio
async def test_a_plain_handler_may_make_use_of_a_context_where_there_is_one() -> None:
    class Either(CreateHandler):
        async def do_handle_with_context(self, command: Create, context: ExecutionContext, /) -> str:
            return f"{await self.do_handle(command)} for {context.user_id}"

    context = DefaultExecutionContext(user_id="u-1")
    bus = DefaultCommandBus(registry_of(Either()))
    assert await bus.send(Create()) == await Either().handle(Create()) == "created"
    assert await bus.send_with_context(Create(), context) == "created for u-1"
    assert await Either().handle_with_context(Create(), context) == "created for u-1"


@pytest.mark.asyncio
async def test_a_handler_that_overrides_handle_is_called_by_it() -> None:
    class Own(CreateHandler):
        async def handle(self, command: Create, /) -> str:
            return f"own {await super().handle(command)}"

    class OwnWithContext(CreateHandler):
        async def handle_with_context(self, command: Create, context: ExecutionContext, /) -> str:
            return f"{context.user_id} {await self.handle(command)}"

    context = DefaultExecutionContext(user_id="u-1")
    assert await DefaultCommandBus(registry_of(Own())).send(Create()) == "own created"
    assert await DefaultCommandBus(registry_of(Own())).send_with_context(Create(), context) == "own created"
    assert await DefaultCommandBus(registry_of(OwnWithContext())).send_with_context(Create(), context) == "u-1 created"


# -- correlation -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_commands_own_correlation_id_is_current_while_it_runs_and_then_the_one_before() -> None:
    seen: list[str | None] = []

    async def look(command: Create) -> str:
        seen.append(CorrelationContext.get_correlation_id())
        CorrelationContext.set_correlation_id("left behind")
        return "created"

    bus = DefaultCommandBus(registry=registry_of(CreateHandler(look)))
    with CorrelationContext.scope(correlation_id="outer", trace_id="t", span_id="s"):
        command = Create()
        command.set_correlation_id("own")
        await bus.send(command)
        assert CorrelationContext.get_correlation_id() == "outer"
        assert (CorrelationContext.get_trace_id(), CorrelationContext.get_span_id()) == ("t", "s")

        inheriting = Create()
        await bus.send(inheriting)
        assert inheriting.get_correlation_id() == "outer"
    assert seen == ["own", "outer"]
    assert CorrelationContext.get_correlation_id() is None


@pytest.mark.asyncio
async def test_a_command_without_any_correlation_id_is_the_root_and_gives_its_own_id() -> None:
    seen: list[str | None] = []

    async def look(command: Create) -> str:
        seen.append(CorrelationContext.get_correlation_id())
        return "created"

    command = Create()
    await DefaultCommandBus(registry=registry_of(CreateHandler(look))).send(command)
    assert seen == [command.get_command_id()] == [command.get_correlation_id()]


@pytest.mark.asyncio
async def test_the_outer_correlation_id_is_restored_after_a_failure_and_across_gather() -> None:
    both_in = asyncio.Barrier(2)

    async def look(command: Create) -> str:
        await both_in.wait()
        return str(CorrelationContext.get_correlation_id())

    bus = DefaultCommandBus(registry=registry_of(CreateHandler(look)))
    first, second = Create(), Create()
    first.set_correlation_id("a")
    second.set_correlation_id("b")
    with CorrelationContext.scope(correlation_id="outer"):
        assert list(await asyncio.gather(bus.send(first), bus.send(second))) == ["a", "b"]
        with pytest.raises(CqrsValidationException):
            await bus.send(Create(x=0))
        assert CorrelationContext.get_correlation_id() == "outer"
