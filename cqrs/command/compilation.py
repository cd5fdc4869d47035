"""Decide once, for each message type, what its pipeline need not do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from cqrs.authorization.service import AuthorizationService
from cqrs.command.lifecycle import ContextAwareHandler, Lifecycle, MessageHandler, overrides
from cqrs.command.limit import TimeLimit
from cqrs.command.message_types import checkable, type_argument
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.settings import BusSettings
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import ExecutionContext
from cqrs.types import overrides_hook

M = TypeVar("M")
R = TypeVar("R")

Check = Callable[[object, ExecutionContext | None], Awaitable[object]]
"""Let a message pass, or raise."""


@dataclass(frozen=True, slots=True)
class HandlerCalls:
    """Hold the two ways to call one handler.

    Attributes:
        plain: Without a context.
        contextual: With one.
        expected: The classes of which a result must be an instance; None when that cannot be told.
    """

    plain: Lifecycle
    contextual: Lifecycle
    expected: tuple[type, ...] | None


def compile_calls(handler: MessageHandler[M, R], message_type: type, root: type, seconds: float) -> HandlerCalls:
    """Build the two ways to call `handler`.

    Args:
        handler: The handler.
        message_type: The class of its messages.
        root: Command or Query, whose type argument is the result.
        seconds: The handler's limit.
    """
    declared = type_argument(message_type, root, 0) or type_argument(handler, MessageHandler, 1)
    expected = checkable(declared) if declared is not None else None
    limit = TimeLimit(type(handler).__qualname__, seconds)

    def lifecycle(act: Callable[..., object], *, aware: bool = False, hooked: bool = True) -> Lifecycle:
        return Lifecycle(handler, act, aware=aware, hooked=hooked, limit=limit, expected=expected)

    own_handle = isinstance(handler, ContextAwareHandler) or overrides(handler, "handle")
    plain = lifecycle(handler.handle, hooked=False) if own_handle else lifecycle(handler.do_handle)
    if overrides(handler, "handle_with_context"):
        return HandlerCalls(plain, lifecycle(handler.handle_with_context, aware=True, hooked=False), expected)
    if overrides(handler, "do_handle_with_context"):
        return HandlerCalls(plain, lifecycle(handler.do_handle_with_context, aware=True), expected)
    return HandlerCalls(plain, plain, expected)


def validation_of(service: CommandValidationService, message_type: type, ask: Check) -> Check | None:
    """Return what validates messages of this class, or None when `service` cannot refuse one.

    Only our own service is known well enough to decide anything beforehand; any other is asked by `ask`.
    """
    if not _is_unaltered(service, CommandValidationService, "validate_command", "validate_query"):
        return ask
    return None if service.accepts_all(message_type) else service.validator_of(message_type)


def authorization_can_deny(service: AuthorizationService, message_type: type) -> bool:
    """Say whether `service` may refuse a message of this class; only our own service is known well enough to say no."""
    if not _is_unaltered(service, AuthorizationService, "authorize_command", "authorize_query"):
        return True
    hooks = ("authorize", "authorize_with_context")
    return service.is_enabled and any(overrides_hook(message_type, hook) for hook in hooks)


def _is_unaltered(service: object, own: type, *methods: str) -> bool:
    """Say whether `service` does what our class does: a subclass and a test double that replaces a method may not."""
    return type(service) is own and all(getattr(service, each).__module__ == own.__module__ for each in methods)


def recording(metrics: CqrsMetricsService | None, *wanted: bool) -> CqrsMetricsService | None:
    """Return `metrics` when every switch is on, else None.

    One without a registry is kept: it does nothing by itself, and whoever replaces a method of it is called.
    """
    return metrics if all(wanted) else None


def default_authorization(settings: BusSettings | None) -> AuthorizationService:
    """Return the authorization of a bus that is given none: on, unless the settings say otherwise."""
    if settings is None:
        return AuthorizationService()
    own = settings.authorization
    return AuthorizationService(own.enabled, own.custom.enabled, own.custom.timeout_ms)
