import asyncio
import logging
from dataclasses import dataclass

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationResult, AuthorizationSeverity
from cqrs.context.execution_context import ExecutionContext, ExecutionContextBuilder
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.types import Command

ALICE = ExecutionContextBuilder().with_user_id("alice").build()


@dataclass
class Hooked:
    answer: object

    def authorize(self) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Open(Command[None]):
    pass


class ForAlice(Command[None]):
    async def authorize_with_context(self, ctx: ExecutionContext) -> AuthorizationResult:
        if ctx.user_id == "alice":
            return AuthorizationResult.success()
        return AuthorizationResult.failure("order", "only alice")


class ForAliceOrInternal(ForAlice):
    async def authorize(self) -> AuthorizationResult:
        return AuthorizationResult.success()


class ForNobody(Command[None]):
    async def authorize(self) -> AuthorizationResult:
        return AuthorizationResult.failure("order", "nobody")


class Hanging(Command[None]):
    async def authorize(self) -> AuthorizationResult:
        await asyncio.Event().wait()
        return AuthorizationResult.success()


async def denial(
    message: object, context: ExecutionContext | None = None, service: AuthorizationService | None = None
) -> AuthorizationResult:
    with pytest.raises(AuthorizationException) as refused:
        await (service or AuthorizationService()).authorize_command(message, context)
    return refused.value.result


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "context"),
    [
        (Open(), None),
        (Open(), ALICE),
        (ForAlice(), ALICE),
        (ForAliceOrInternal(), None),
        (object(), ALICE),
        (Hooked(AuthorizationResult.success()), ALICE),
    ],
)
async def test_a_clear_yes_passes(message: object, context: ExecutionContext | None) -> None:
    await AuthorizationService().authorize_command(message, context)
    await AuthorizationService().authorize_query(message, context)


@pytest.mark.asyncio
async def test_the_hook_decides_with_the_context_it_is_given() -> None:
    result = await denial(ForAlice(), ExecutionContextBuilder().with_user_id("bob").build())
    assert result.error_messages() == ["order: only alice"]


@pytest.mark.asyncio
async def test_a_context_does_not_pass_by_the_plain_hook() -> None:
    assert (await denial(ForNobody(), ALICE)).error_messages() == ["order: nobody"]


@pytest.mark.asyncio
async def test_a_message_that_decides_by_context_alone_is_denied_without_one() -> None:
    assert "given none" in str((await denial(ForAlice())).summary)


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [None, True, False, "yes", ValueError("broken"), TimeoutError("its own")])
async def test_a_hook_that_gives_no_result_denies(answer: object) -> None:
    result = await denial(Hooked(answer))
    assert result.errors[0].error_code == "AUTHORIZATION_ERROR"
    assert result.errors[0].resource == "Hooked"


@pytest.mark.asyncio
async def test_queries_are_denied_alike() -> None:
    with pytest.raises(AuthorizationException):
        await AuthorizationService().authorize_query(ForNobody())


@pytest.mark.asyncio
async def test_a_hook_that_hangs_denies() -> None:
    async with asyncio.timeout(2):  # a thousandth of it is what the hook has
        result = await denial(Hanging(), service=AuthorizationService(timeout_ms=1))
    assert result.errors[0].error_code == "AUTHORIZATION_TIMEOUT"
    assert "within 1 ms" in result.errors[0].message


@pytest.mark.asyncio
async def test_cancellation_is_not_swallowed() -> None:
    task = asyncio.create_task(AuthorizationService().authorize_command(Hanging()))
    await asyncio.wait([task], timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_a_dependency_that_is_away_is_no_verdict() -> None:
    with pytest.raises(DependencyUnavailableException):
        await AuthorizationService().authorize_command(Hooked(DependencyUnavailableException("database", "gone")))


@pytest.mark.asyncio
async def test_warnings_pass_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    warning = AuthorizationResult.failure("order", "last time", severity=AuthorizationSeverity.WARNING)
    with caplog.at_level(logging.WARNING):
        await AuthorizationService().authorize_command(Hooked(warning))
    assert "order: last time" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("service", "key"),
    [
        ({"enabled": False}, "authorization.enabled=false"),
        ({"custom_enabled": False}, "authorization.custom.enabled=false"),
    ],
)
async def test_switched_off_it_lets_all_pass_and_warns_once(
    service: dict[str, bool], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        off = AuthorizationService(**service)
        for _ in range(2):
            await off.authorize_command(ForNobody())
            await off.authorize_query(ForNobody())
    assert not off.is_enabled
    assert [key in record.getMessage() for record in caplog.records] == [True]


def test_it_is_on_by_default_and_needs_a_time_limit() -> None:
    assert AuthorizationService().is_enabled
    with pytest.raises(ConfigurationException, match="timeout_ms is 0"):
        AuthorizationService(timeout_ms=0)
