"""What a pipeline may leave out: only what is known to change nothing."""

from dataclasses import dataclass

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.compilation import authorization_can_deny, recording
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.context.execution_context import ExecutionContext
from cqrs.types import Command


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


def test_metrics_are_left_out_only_where_nothing_would_be_recorded() -> None:
    class Own(CqrsMetricsService):
        pass

    own = Own()
    assert recording(None) is None
    assert recording(CqrsMetricsService()) is None
    assert recording(own) is own
    assert recording(own, True, False) is None
