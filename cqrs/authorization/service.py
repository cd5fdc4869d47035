"""Ask a message's own hooks whether it may be carried out; anything but a clear yes is a no."""

import inspect
import logging
from collections.abc import Awaitable, Coroutine
from time import monotonic
from types import CoroutineType

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.context.execution_context import ExecutionContext
from cqrs.exceptions import ConfigurationException, is_retryable
from cqrs.limit import finish_by

_logger = logging.getLogger(__name__)


class AuthorizationService:
    """Authorize commands and queries by their `authorize_with_context(context)` or `authorize()` hook.

    A hook that raises, hangs, or returns anything but an `AuthorizationResult` is a denial. So is a message that
    decides by context alone and comes without one.

    Args:
        enabled: False lets every message pass, and says so once in the log.
        custom_enabled: False leaves the messages' own hooks out, which lets every message pass too.
        timeout_ms: How long an asynchronous hook may take, in milliseconds.

    Raises:
        ConfigurationException: `timeout_ms` is not above 0.
    """

    def __init__(self, enabled: bool = True, custom_enabled: bool = True, timeout_ms: int = 5000) -> None:
        if timeout_ms <= 0:
            raise ConfigurationException([f"AuthorizationService: timeout_ms is {timeout_ms}; give a number above 0."])
        self._enabled = enabled and custom_enabled
        self._timeout_ms = timeout_ms
        self._seconds = timeout_ms / 1000
        if not self._enabled:
            _logger.warning(
                "Authorization is off (%s): every command and query passes.",
                "authorization.custom.enabled=false" if enabled else "authorization.enabled=false",
            )

    @property
    def is_enabled(self) -> bool:
        """Return whether messages are asked at all."""
        return self._enabled

    async def authorize_command(self, command: object, context: ExecutionContext | None = None) -> None:
        """Return when `command` may be carried out.

        Raises:
            AuthorizationException: it may not; `result` says why.
            CqrsException: its hook raised an error that is retryable (a dependency is away).
        """
        await self._authorize(command, context)

    async def authorize_query(self, query: object, context: ExecutionContext | None = None) -> None:
        """Return when `query` may be answered.

        Raises:
            AuthorizationException: it may not; `result` says why.
            CqrsException: its hook raised an error that is retryable (a dependency is away).
        """
        await self._authorize(query, context)

    async def _authorize(self, message: object, context: ExecutionContext | None) -> None:
        if not self._enabled:
            return
        result = await self._decide(message, context)
        if not result.authorized:
            raise AuthorizationException(result)
        if result.errors:
            _logger.warning("%s is authorized with warnings: %s", type(message).__qualname__, result.summary)

    async def _decide(self, message: object, context: ExecutionContext | None) -> AuthorizationResult:
        try:
            result = _ask(message, context)
            if type(result) is CoroutineType:
                result = await finish_by(monotonic() + self._seconds, result, _NoAnswerException)
            elif inspect.isawaitable(result):
                result = await finish_by(monotonic() + self._seconds, _as_coroutine(result), _NoAnswerException)
        except _NoAnswerException:
            return _denied(message, f"gave no answer within {self._timeout_ms} ms", "AUTHORIZATION_TIMEOUT")
        except Exception as error:
            if is_retryable(error):
                raise
            _logger.warning("The authorization hook of %s raised", type(message).__qualname__, exc_info=True)
            return _denied(message, f"raised {type(error).__name__}: {error}")
        if not isinstance(result, AuthorizationResult):
            return _denied(message, f"returned {result!r} instead of an AuthorizationResult")
        return result


class _NoAnswerException(Exception):
    """Report a hook that gave no answer in time, apart from a TimeoutError that the hook itself raises."""


def _as_coroutine(answer: Awaitable[object]) -> Coroutine[object, object, object]:
    async def wait() -> object:
        return await answer

    return answer if inspect.iscoroutine(answer) else wait()


def _ask(message: object, context: ExecutionContext | None) -> object:
    if context is not None:
        with_context = getattr(message, "authorize_with_context", None)
        if with_context is not None and not getattr(with_context, "asks_authorize", False):
            return with_context(context)
    elif _decides_by_context_alone(type(message)):
        return _denied(message, "decides by its ExecutionContext and was given none; send the message with a context")
    authorize = getattr(message, "authorize", None)
    return AuthorizationResult.success() if authorize is None else authorize()


def _decides_by_context_alone(message_type: type) -> bool:
    """Say whether `authorize_with_context` was overridden below the class that `authorize` comes from."""
    for owner in message_type.__mro__:
        if "authorize" in vars(owner):
            return False
        if "authorize_with_context" in vars(owner):
            return True
    return False


def _denied(message: object, reason: str, error_code: str = "AUTHORIZATION_ERROR") -> AuthorizationResult:
    name = type(message).__name__
    return AuthorizationResult.failure(name, f"The authorization hook of {name} {reason}", error_code=error_code)
