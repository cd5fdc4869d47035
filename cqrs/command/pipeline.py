"""The path of one command type, compiled once: a step that is off is not there."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cqrs.authorization.service import AuthorizationService
from cqrs.command.compilation import Check, authorization_can_deny, compile_calls, recording, validation_of
from cqrs.command.entry import HandlerSpan, TracedEntry, correlate
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.query_cache import QueryCache
from cqrs.command.refusals import command_failure
from cqrs.command.retries import RetryPolicy, Timing
from cqrs.command.unit_of_work import NoUnitOfWork, UnitOfWork
from cqrs.command.validation import CommandValidationService
from cqrs.command.work import Errand, Work
from cqrs.context.execution_context import ExecutionContext
from cqrs.decorators import HandlerOptions, handler_options
from cqrs.event.decorators import event_route
from cqrs.event.origin import EventOrigin
from cqrs.event.routing import EventOutlet
from cqrs.tracing import attributes
from cqrs.tracing.tracer import NoTracer, Span, Tracer
from cqrs.types import Command, message_name

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandServices:
    """Hold what the pipelines of one command bus work with.

    Attributes:
        validation: Refuses invalid commands.
        authorization: Refuses unauthorized commands.
        metrics: Counts and times; None records nothing.
        outlet: Publishes events.
        tracer: Opens spans.
        unit_of_work: The transaction of each command.
        cache: Where commands make results stale; None for no cache.
        lenient: Whether a failed publication is logged and counted instead of failing the command.
        timeout: Seconds for handlers that name no limit.
        timing: Clock, sleep and randomness.
    """

    validation: CommandValidationService
    authorization: AuthorizationService
    metrics: CqrsMetricsService | None
    outlet: EventOutlet
    tracer: Tracer
    unit_of_work: UnitOfWork
    cache: QueryCache | None
    lenient: bool
    timeout: float
    timing: Timing


class CommandPipeline:
    """Run the commands of one type: correlate, validate, authorize, handle, publish, count.

    Args:
        command_type: The class of the commands.
        handler: Their handler.
        services: What the steps work with.
    """

    def __init__(
        self, command_type: type, handler: CommandHandler[Command[object], object], services: CommandServices
    ) -> None:
        options = handler_options(handler)
        self._services = services
        self._command_type = command_type
        self._name = message_name(command_type)
        self._calls = compile_calls(handler, command_type, Command, options.timeout or services.timeout)
        route = event_route(handler)
        self._outlet = services.outlet.to(route)
        self._metrics = recording(services.metrics, options.metrics)
        self._clock = services.timing.clock
        self._checks = tuple(_checks(command_type, services, options))
        self._retry = RetryPolicy(options.retries, options.backoff_ms / 1000, services.timing)
        self._entered: Callable[[Command[object]], AbstractContextManager[Span | None]] = correlate
        self._span: HandlerSpan | None = None
        if options.tracing and not isinstance(services.tracer, NoTracer):
            self._entered = TracedEntry(services.tracer, "command", command_type, attributes.COMMAND_ID, options)
            self._span = HandlerSpan(services.tracer, handler, options)
        self._perform = self._transact_with_retries if options.retries else self._transact
        if isinstance(services.unit_of_work, NoUnitOfWork):
            self._perform = self._directly
        for problem in services.outlet.problems(route):
            _logger.warning("%s: %s", type(handler).__qualname__, problem)

    async def run(self, command: Command[object], context: ExecutionContext | None) -> object:
        """Carry out `command` and return its handler's result.

        Raises:
            CommandProcessingException: it was refused or failed; `cause` says with what.
        """
        started = self._clock()
        with self._entered(command):
            try:
                for check in self._checks:
                    await check(command, context)
                result = await self._perform(command, context)
            except Exception as error:
                self._record(command, error, started)
                raise command_failure(self._command_type, error) from error
            self._record(command, None, started)
            return result

    async def _directly(self, command: Command[object], context: ExecutionContext | None) -> object:
        """Handle and publish without a transaction; only the handler is tried again, for what it did stays done."""
        calls = self._calls
        attempt = 0
        while True:
            work = Work(command)
            try:
                with work if self._span is None else self._span(work):
                    result = await (calls.plain if context is None else calls.contextual).run(command, context)
            except BaseException as error:
                work.undo()
                if not self._tries_again(command, error, attempt):
                    raise
            else:
                if events := work.drain(result):
                    await self._publish_or_undo(work, events)
                if self._services.cache is not None:
                    await self._evict(command)
                return result
            await self._retry.wait(attempt)
            attempt += 1

    async def _publish_or_undo(self, work: Work, events: Sequence[object]) -> None:
        try:
            await self._publish(work.command, events)
        except BaseException:
            work.undo()
            raise

    async def _transact_with_retries(self, command: Command[object], context: ExecutionContext | None) -> object:
        """Try the whole transaction again: a failed one leaves nothing behind, and no lock is held while waiting."""
        attempt = 0
        while True:
            try:
                return await self._transact(command, context)
            except Exception as error:
                if not self._tries_again(command, error, attempt):
                    raise
            await self._retry.wait(attempt)
            attempt += 1

    async def _transact(self, command: Command[object], context: ExecutionContext | None) -> object:
        """Handle and publish in one unit of work, which commits once every event is accepted."""
        calls, unit = self._calls, self._services.unit_of_work
        work = Work(command, unit)
        try:
            async with unit.begin():
                with work if self._span is None else self._span(work):
                    result = await (calls.plain if context is None else calls.contextual).run(command, context)
                await unit.prepare()
                self._note_errands(work, result)
                waits = work.enclosing is not None
                if not waits:
                    await _run_all(work.publications)
        except BaseException:
            work.undo()
            raise
        await _finish(work, waits)
        return result

    def _note_errands(self, work: Work, result: object) -> None:
        command, events = work.command, work.drain(result)  # errands that held the work would be held by it
        if events:
            work.publications.append(lambda: self._publish(command, events))
        if self._services.cache is not None:
            work.evictions.append(lambda: self._evict(command))

    async def _publish(self, command: Command[object], events: Sequence[object]) -> None:
        command_id, correlation_id = command.get_command_id(), command.get_correlation_id() or ""
        for index, event in enumerate(events):
            origin = EventOrigin(command_id, self._name, index, correlation_id)
            try:
                await self._outlet(event, origin)
            except Exception as error:
                if not self._services.lenient:
                    raise
                self._give_up(event, error)

    def _give_up(self, event: object, error: Exception) -> None:
        name = message_name(type(event))
        _logger.error("%s of %s is lost: %s", name, self._name, error, exc_info=error)
        if self._metrics is not None:
            self._metrics.record_lost_event(event)

    async def _evict(self, command: Command[object]) -> None:
        """Make the cached result stale that the command names; the command is done, whatever the cache says."""
        try:
            key = command.get_cache_key()
            if key is not None and self._services.cache is not None:
                await self._services.cache.evict(key)
        except Exception:
            _logger.exception("The cache kept what %s made stale", self._name)
            if self._metrics is not None:
                self._metrics.record_cache_failure(command, "evict")

    def _tries_again(self, command: Command[object], error: BaseException, attempt: int) -> bool:
        if not self._retry.allows(error, attempt):
            return False
        _logger.warning("%s failed at attempt %d and is tried again: %s", self._name, attempt + 1, error)
        if self._metrics is not None:
            self._metrics.record_retry(command)
        return True

    def _record(self, command: Command[object], error: Exception | None, started: float) -> None:
        """Count the command; what goes wrong with that does not change how the command went."""
        if self._metrics is None:
            return
        seconds = self._clock() - started
        try:
            if error is None:
                self._metrics.record_command_success(command, seconds)
            else:
                self._metrics.record_command_failure(command, error, seconds)
        except Exception:
            _logger.exception("The metrics of %s could not be recorded", self._name)


def _checks(command_type: type, services: CommandServices, options: HandlerOptions) -> Iterator[Check]:
    validation, authorization = services.validation, services.authorization
    validate = validation_of(validation, command_type, lambda command, context: validation.validate_command(command))
    if options.validation and validate is not None:
        yield validate
    if authorization_can_deny(authorization, command_type):
        yield authorization.authorize_command


async def _run_all(errands: Sequence[Errand]) -> None:
    for errand in errands:
        await errand()


async def _finish(work: Work, waits: bool) -> None:
    """Do what comes after the commit, or leave it to the command around this one."""
    outer = work.enclosing
    if outer is not None:
        work.hand_over(outer)
        return
    if waits:  # the command around it has ended meanwhile: late is better than never
        await _run_all(work.publications)
    await _run_all(work.evictions)
