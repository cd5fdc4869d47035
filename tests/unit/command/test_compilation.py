"""What a pipeline may leave out: only what is known to change nothing."""

from dataclasses import dataclass
from unittest.mock import ANY, create_autospec, patch

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.compilation import authorization_can_deny, recording, validation_of
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import ExecutionContext
from cqrs.types import Command
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult


@dataclass(frozen=True)
class Hookless(Command[str]):
    x: int = 1


@dataclass(frozen=True)
class Hooked(Command[str]):
    async def authorize_with_context(self, ctx: ExecutionContext) -> AuthorizationResult:
        return AuthorizationResult.success()


class Policy(AuthorizationService):
    async def authorize_command(self, command: object, context: ExecutionContext | None = None) -> None:
        raise AuthorizationException(AuthorizationResult.failure("policy", "nobody may"))


class Handler(CommandHandler[Hookless, str]):
    async def do_handle(self, command: Hookless) -> str:
        return "handled"


@pytest.mark.asyncio
async def test_a_service_of_the_users_own_is_asked_even_about_a_message_without_hooks() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(Handler())
    with pytest.raises(AuthorizationException, match="nobody may"):
        await DefaultCommandBus(registry, authorization=Policy()).send(Hookless())


def test_authorization_is_left_out_only_where_no_hook_could_deny() -> None:
    assert not authorization_can_deny(AuthorizationService(), Hookless)
    assert authorization_can_deny(AuthorizationService(), Hooked)
    assert not authorization_can_deny(AuthorizationService(enabled=False), Hooked)
    assert authorization_can_deny(Policy(), Hookless)


@pytest.mark.asyncio
async def test_test_doubles_of_our_own_services_are_asked_too() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(Handler())
    validation, authorization, metrics = CommandValidationService(), AuthorizationService(), CqrsMetricsService()
    bus = DefaultCommandBus(registry, validation, authorization, metrics)
    with (
        patch.object(validation, "validate_command") as validate,
        patch.object(AuthorizationService, "authorize_command") as authorize,
        patch.object(metrics, "record_command_success") as record,
    ):
        await bus.send(command := Hookless())

    validate.assert_awaited_once_with(command)
    authorize.assert_awaited_once_with(command, None)
    record.assert_called_once_with(command, ANY)


@pytest.mark.asyncio
async def test_a_mock_given_for_the_validation_is_asked() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(Handler())
    validation = create_autospec(CommandValidationService, instance=True)
    validation.validate_command.side_effect = CqrsValidationException(ValidationResult.failure("x", "never"))

    with pytest.raises(CqrsValidationException, match="x: never"):
        await DefaultCommandBus(registry, validation).send(Hookless())


def test_validation_is_left_out_only_where_nothing_could_be_refused() -> None:
    class Own(CommandValidationService):
        pass

    async def ask(command: object, context: ExecutionContext | None) -> None: ...

    assert validation_of(CommandValidationService(), Hookless, ask) is None
    assert validation_of(Own(), Hookless, ask) is ask


def test_metrics_are_left_out_where_there_are_none_or_a_switch_is_off() -> None:
    given = CqrsMetricsService()
    assert recording(None) is None
    assert recording(given) is given
    assert recording(given, True, False) is None
