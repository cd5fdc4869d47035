"""The command bus: one door through which everything that changes state goes."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast, runtime_checkable

from cqrs.authorization.service import AuthorizationService
from cqrs.cache.adapter import CacheAdapter
from cqrs.command.compilation import default_authorization, recording
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.pipeline import CommandPipeline, CommandServices
from cqrs.command.query_cache import QueryCache, query_cache
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.command.settings import BusSettings
from cqrs.command.unit_of_work import NoUnitOfWork, UnitOfWork
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import ExecutionContext
from cqrs.event.publisher import CommandEventPublisher, NoOpEventPublisher
from cqrs.event.routing import EventOutlet
from cqrs.tracing.tracer import NoTracer, Tracer
from cqrs.types import Command

C = TypeVar("C", bound=Command[object])
R = TypeVar("R")

DEFAULT_TIMEOUT = 30.0
"""Seconds a handler may take when neither its decorator nor the settings say otherwise."""


@runtime_checkable
class CommandBus(Protocol):
    """Send commands to their handlers."""

    async def send(self, command: Command[R]) -> R:
        """Carry out `command` and return its result."""
        ...

    async def send_with_context(self, command: Command[R], context: ExecutionContext) -> R:
        """Carry out `command` for the user of `context` and return its result."""
        ...

    def register_handler(self, handler: CommandHandler[C, R]) -> None:
        """Register a handler."""

    def unregister_handler(self, command_type: type[Command[R]]) -> bool:
        """Remove every handler of a command type, and return whether there was one."""
        ...

    def has_handler(self, command_type: type[Command[R]]) -> bool:
        """Return whether a command type has a handler."""
        ...


class DefaultCommandBus:
    """Correlate, validate, authorize, handle, publish the events, and count.

    Built with the registry alone it validates and authorizes, and publishes nothing.

    Args:
        registry: The handlers.
        validation: Refuses invalid commands; None takes the default.
        authorization: Refuses unauthorized commands; None takes the default.
        metrics: Counts and times; None records nothing.
        event_publisher: Publishes events; None publishes nothing.
        tracer: Opens spans; None traces nothing.
        unit_of_work: The transaction of each command, which commits once its events are accepted; None opens none.
        properties: The settings; None takes the defaults: 30 s, metrics and tracing on, publication strict.
        cache_adapter: Where `Command.get_cache_key()` makes results stale after success; None for no cache.
        lenient_publication: Whether a failed publication is logged and counted instead of failing the command; None
            does as the properties say.
        timing: Clock, sleep and randomness, for tests.
    """

    def __init__(
        self,
        registry: HandlerRegistry,
        validation: CommandValidationService | None = None,
        authorization: AuthorizationService | None = None,
        metrics: CqrsMetricsService | None = None,
        event_publisher: CommandEventPublisher | None = None,
        *,
        tracer: Tracer | None = None,
        unit_of_work: UnitOfWork | None = None,
        properties: BusSettings | None = None,
        cache_adapter: QueryCache | CacheAdapter | None = None,
        lenient_publication: bool | None = None,
        timing: Timing | None = None,
    ) -> None:
        own = properties.command if properties is not None else None
        lenient = own is not None and own.event_publication == "lenient"
        self._registry = registry
        self._services = CommandServices(
            validation=validation or CommandValidationService(),
            authorization=authorization or default_authorization(properties),
            metrics=recording(metrics, own is None or own.metrics_enabled),
            outlet=EventOutlet(event_publisher or NoOpEventPublisher()),
            tracer=tracer if tracer is not None and (own is None or own.tracing_enabled) else NoTracer(),
            unit_of_work=unit_of_work or NoUnitOfWork(),
            cache=query_cache(cache_adapter),
            lenient=lenient if lenient_publication is None else lenient_publication,
            timeout=own.timeout if own is not None else DEFAULT_TIMEOUT,
            timing=timing or Timing(),
        )
        self._runs: dict[type, Callable[[Command[object], ExecutionContext | None], Awaitable[object]]] = {}
        registry.on_change(self._runs.clear)

    async def send(self, command: Command[R]) -> R:
        """Carry out `command` and return its result.

        Raises:
            CommandHandlerNotFoundException: no handler is registered for it.
            CommandProcessingException: it was refused or failed; `cause` says with what. A refusal is also a
                `CqrsValidationException` or an `AuthorizationException`.
        """
        run = self._runs.get(type(command)) or self._compiled(type(command))
        return cast("R", await run(command, None))

    async def send_with_context(self, command: Command[R], context: ExecutionContext) -> R:
        """Carry out `command` for the user of `context` and return its result.

        Raises:
            CommandHandlerNotFoundException: no handler is registered for it.
            CommandProcessingException: it was refused or failed; `cause` says with what. A refusal is also a
                `CqrsValidationException` or an `AuthorizationException`.
        """
        run = self._runs.get(type(command)) or self._compiled(type(command))
        return cast("R", await run(command, context))

    def register_handler(self, handler: CommandHandler[C, R]) -> None:
        """Register a handler.

        Raises:
            ConfigurationException: its command type cannot be told, or another of the same priority is registered.
        """
        self._registry.register_command_handler(handler)

    def unregister_handler(self, command_type: type[Command[R]]) -> bool:
        """Remove every handler of a command type, and return whether there was one."""
        return self._registry.unregister_command_handler(command_type)

    def has_handler(self, command_type: type[Command[R]]) -> bool:
        """Return whether a command type has a handler."""
        return self._registry.has_command_handler(command_type)

    def _compiled(
        self, command_type: type[Command[object]]
    ) -> Callable[[Command[object], ExecutionContext | None], Awaitable[object]]:
        handler = self._registry.find_command_handler(command_type)
        run = CommandPipeline(command_type, handler, self._services).run
        self._runs[command_type] = run
        return run
