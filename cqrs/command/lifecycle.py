"""What handlers of commands and queries have in common: the hooks around `do_handle`, and what runs them."""

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Generic, TypeVar, cast

from cqrs.command.limit import TimeLimit, finish_thread_by
from cqrs.context.execution_context import ExecutionContext
from cqrs.exceptions import UnexpectedResultException
from cqrs.limit import finish_by
from cqrs.threads import ThreadCall, in_thread

M = TypeVar("M")
R = TypeVar("R")

Act = Callable[..., Coroutine[object, object, object]]

_logger = logging.getLogger(__name__)


class MessageHandler(ABC, Generic[M, R]):
    """Be a handler's hooks; `handle` calls them in order: pre_process, do_handle, post_process, on_success.

    It keeps nothing of its own, so a subclass's `__init__` need not call it. A hook may also be a plain function; a
    plain `do_handle` runs in a thread, where it does not block the event loop. A thread cannot be cut off: past its
    limit the message fails, and the thread goes on.
    """

    async def pre_process(self, message: M, /) -> None:
        """Run before `do_handle`."""

    @abstractmethod
    async def do_handle(self, message: M, /) -> R:
        """Carry out the message: the business logic, to be overridden."""

    async def post_process(self, message: M, result: R, /) -> None:
        """Run after `do_handle` has returned."""

    async def on_success(self, message: M, result: R, /) -> None:
        """Run after `post_process`."""

    async def on_error(self, message: M, error: Exception, /) -> None:
        """Run when `do_handle` raises, at every attempt; logs the error unless overridden."""
        _logger.error("%s failed: %s", type(self).__qualname__, error, exc_info=error)

    def map_error(self, message: M, error: Exception, /) -> Exception:
        """Return the exception that leaves the handler instead of `error`; the same one unless overridden."""
        return error

    async def handle(self, message: M, /) -> R:
        """Run the hooks around `do_handle`, and return its result.

        Raises:
            Exception: what a hook or `do_handle` raised, as `map_error` returns it.
        """
        return cast("R", await Lifecycle(self, self.do_handle).run(message, None))

    async def do_handle_with_context(self, message: M, context: ExecutionContext, /) -> R:
        """Carry out the message for the user of `context`: `do_handle`, unless overridden."""
        return await self.do_handle(message)

    async def handle_with_context(self, message: M, context: ExecutionContext, /) -> R:
        """Run the hooks around `do_handle_with_context` where it is overridden, else `handle`."""
        if not overrides(self, "do_handle_with_context"):
            return await self.handle(message)
        return cast("R", await Lifecycle(self, self.do_handle_with_context, aware=True).run(message, context))


class ContextAwareHandler(MessageHandler[M, R]):
    """Be a handler that cannot work without an execution context."""

    @abstractmethod
    async def do_handle_with_context(self, message: M, context: ExecutionContext, /) -> R:
        """Carry out the message for the user of `context`: the business logic, to be overridden."""

    async def do_handle(self, message: M, /) -> R:
        """Refuse to work without a context.

        Raises:
            RuntimeError: always.
        """
        raise self._needs_context("do_handle_with_context(message, context)")

    async def handle(self, message: M, /) -> R:
        """Refuse to work without a context.

        Raises:
            RuntimeError: always.
        """
        raise self._needs_context("handle_with_context(message, context), or send_with_context / query_with_context")

    def _needs_context(self, instead: str) -> RuntimeError:
        return RuntimeError(f"{type(self).__qualname__} requires an ExecutionContext; call {instead} on the bus")


class Lifecycle:
    """Run one handler: the hooks that it overrides around its business logic, within its time limit.

    Args:
        handler: Whose hooks to run.
        act: The business logic.
        aware: Whether `act` takes the context as well.
        hooked: Whether to run the hooks; False for an `act` that is the handler's own `handle`, which runs them.
        limit: How long all of it may take.
        expected: The classes of which the result must be an instance; None leaves it unchecked.
    """

    def __init__(
        self,
        handler: MessageHandler[M, R],
        act: Callable[..., object],
        *,
        aware: bool = False,
        hooked: bool = True,
        limit: TimeLimit | None = None,
        expected: tuple[type, ...] | None = None,
    ) -> None:
        hook = handler_hooks(handler) if hooked else {}
        self._name = type(handler).__qualname__
        self._aware = aware
        self._limit = limit
        self._expected = expected
        self._act = _coroutine_function(act, threaded=True)
        self._plain = None if limit is None or inspect.iscoroutinefunction(act) else act
        self._before = hook.get("pre_process")
        self._after = tuple(hook[name] for name in ("post_process", "on_success") if name in hook)
        self._on_error = _coroutine_function(handler.on_error) if hooked else None
        self._map_error: Callable[..., object] | None = handler.map_error if hooked else None

    async def run(self, message: object, context: ExecutionContext | None) -> object:
        """Return the handler's result.

        Raises:
            HandlerTimeoutException: the limit passed; `on_error` was told when it passed in the business logic.
            UnexpectedResultException: the result is not what the message declares.
            Exception: what the handler raised, as its `map_error` returns it.
        """
        deadline = self._limit.deadline() if self._limit is not None else 0.0
        try:
            if self._before is not None:
                await self._limited(self._before(message), deadline)
            try:
                if self._plain is not None:
                    result, deadline = await self._in_thread(self._plain, deadline, message, context)
                else:
                    work = self._act(message, context) if self._aware else self._act(message)
                    result = await (work if self._limit is None else finish_by(deadline, work, self._limit.passed))
                if self._expected is not None and not isinstance(result, self._expected):
                    raise self._unexpected(result)
            except Exception as error:
                await self._tell(message, error, deadline)
                raise
            for hook in self._after:
                await self._limited(hook(message, result), deadline)
        except Exception as error:  # noqa: BLE001 - it is raised again, or what stands for it
            mapped = await self._mapped(message, error)
            try:
                if mapped is error:
                    raise
                raise mapped from error
            finally:
                del mapped  # else the error, its traceback and this frame hold each other until garbage is collected
        return result

    async def _in_thread(
        self, plain: Callable[..., object], deadline: float, message: object, context: ExecutionContext | None
    ) -> tuple[object, float]:
        """Return the result of business logic without async, and the deadline of what comes behind it."""
        assert self._limit is not None  # noqa: S101 - it is asked before
        call = ThreadCall(plain, message, context) if self._aware else ThreadCall(plain, message)
        result, deadline = await finish_thread_by(deadline, call, self._limit.passed)
        if inspect.isawaitable(result):
            result = await self._limited(_awaiting(result), deadline)
        return result, deadline

    def _limited(self, work: Coroutine[object, object, object], deadline: float) -> Awaitable[object]:
        return work if self._limit is None else finish_by(deadline, work, self._limit.passed)

    def _unexpected(self, result: object) -> UnexpectedResultException:
        wanted = " | ".join(kind.__name__ for kind in self._expected or ())
        return UnexpectedResultException(
            f"{self._name} returned {type(result).__qualname__} where its message declares {wanted}; "
            "return that, or declare what is returned"
        )

    async def _tell(self, message: object, error: Exception, deadline: float) -> None:
        if self._on_error is None:
            return
        try:
            # A limit that has passed would cut the hook off at its first wait, so it is given the time again.
            passed = self._limit is not None and monotonic() >= deadline
            until = self._limit.deadline() if passed and self._limit is not None else deadline
            await self._limited(self._on_error(message, error), until)
        except Exception:
            # The handler's own error is the one to go on: its class decides whether the message is tried again.
            _logger.exception("%s.on_error raised while told of %r", self._name, error)

    async def _mapped(self, message: object, error: Exception) -> Exception:
        if self._map_error is None:
            return error
        mapped = self._map_error(message, error)
        if inspect.isawaitable(mapped):
            mapped = await mapped
        if isinstance(mapped, Exception):
            return mapped
        return UnexpectedResultException(f"{self._name}.map_error returned {mapped!r} instead of an exception")


def handler_hooks(handler: MessageHandler[M, R]) -> dict[str, Act]:
    """Return those hooks around `do_handle` that a handler overrides, by name."""
    bound = {name: getattr(handler, name) for name in ("pre_process", "post_process", "on_success")}
    return {name: _coroutine_function(hook) for name, hook in bound.items() if overrides(handler, name)}


def reads_context(handler: MessageHandler[M, R]) -> bool:
    """Say whether what a handler answers may depend on the execution context."""
    return overrides(handler, "do_handle_with_context") or overrides(handler, "handle_with_context")


def overrides(handler: MessageHandler[M, R], name: str) -> bool:
    """Say whether a handler has its own method `name`, on its class or on the instance."""
    function = getattr(getattr(handler, name), "__func__", None)
    return function is not getattr(MessageHandler, name) and function is not getattr(ContextAwareHandler, name)


async def _awaiting(outcome: Awaitable[object]) -> object:
    return await outcome


def _coroutine_function(function: Callable[..., object], *, threaded: bool = False) -> Act:
    if inspect.iscoroutinefunction(function):
        return function

    async def call(*args: object) -> object:
        outcome = await in_thread(function, *args) if threaded else function(*args)
        return await outcome if inspect.isawaitable(outcome) else outcome

    return call
