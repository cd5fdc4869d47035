"""The path of one query type, compiled once: a step that is off is not there."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

from cqrs.authorization.service import AuthorizationService
from cqrs.command.compilation import (
    Check,
    HandlerCalls,
    authorization_can_deny,
    compile_calls,
    recording,
    validation_of,
)
from cqrs.command.entry import HandlerSpan, TracedEntry, correlate
from cqrs.command.lifecycle import reads_context
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.query_cache import QueryCache
from cqrs.command.retries import RetryPolicy, Timing
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import ExecutionContext
from cqrs.decorators import HandlerOptions, handler_options
from cqrs.query.caching import CachedAnswers, Flights
from cqrs.query.handler import QueryHandler
from cqrs.query.refusals import query_failure
from cqrs.tracing import attributes
from cqrs.tracing.tracer import NoTracer, Span, Tracer
from cqrs.types import Query, message_name

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueryServices:
    """Hold what the pipelines of one query bus work with.

    Attributes:
        validation: Refuses invalid queries.
        authorization: Refuses unauthorized queries.
        metrics: Counts and times; None records nothing.
        cache: Where results are kept; None keeps nothing.
        cache_ttl: Seconds for handlers that name no time.
        flights: The computations under way.
        tracer: Opens spans.
        timeout: Seconds for handlers that name no limit.
        timing: Clock, sleep and randomness.
    """

    validation: CommandValidationService
    authorization: AuthorizationService
    metrics: CqrsMetricsService | None
    cache: QueryCache | None
    cache_ttl: int
    flights: Flights
    tracer: Tracer
    timeout: float
    timing: Timing


class QueryPipeline:
    """Run the queries of one type: correlate, validate, authorize, look up, handle, keep, count.

    Args:
        query_type: The class of the queries.
        handler: Their handler.
        services: What the steps work with.
    """

    def __init__(self, query_type: type, handler: QueryHandler[Query[object], object], services: QueryServices) -> None:
        options = handler_options(handler)
        self._query_type = query_type
        self._name = message_name(query_type)
        self._calls = compile_calls(handler, query_type, Query, options.timeout or services.timeout)
        self._metrics = recording(services.metrics, options.metrics)
        self._clock = services.timing.clock
        self._checks = tuple(_checks(query_type, services, options))
        self._retry = RetryPolicy(options.retries, options.backoff_ms / 1000, services.timing)
        self._cached = _cached_answers(query_type, handler, services, self._calls, self._metrics)
        self._entered: Callable[[Query[object]], AbstractContextManager[Span | None]] = correlate
        self._span: HandlerSpan | None = None
        if options.tracing and not isinstance(services.tracer, NoTracer):
            self._entered = TracedEntry(services.tracer, "query", query_type, attributes.QUERY_ID, options)
            self._span = HandlerSpan(services.tracer, handler, options)

    async def run(self, query: Query[object], context: ExecutionContext | None) -> object:
        """Answer `query`.

        Raises:
            QueryProcessingException: it was refused or failed; `cause` says with what.
        """
        started = self._clock()
        with self._entered(query) as span:
            try:
                for check in self._checks:
                    await check(query, context)
                if self._cached is None:
                    result = await self._handle(query, context)
                else:
                    result, hit = await self._cached.answer(query, context, self._handle)
                    if span is not None:
                        span.set(attributes.CACHE_HIT, hit)
            except Exception as error:
                self._record(query, error, started)
                raise query_failure(self._query_type, error) from error
            self._record(query, None, started)
            return result

    async def _handle(self, query: Query[object], context: ExecutionContext | None) -> object:
        calls = self._calls
        attempt = 0
        while True:
            try:
                with _NOTHING if self._span is None else self._span(_NOTHING):
                    return await (calls.plain if context is None else calls.contextual).run(query, context)
            except Exception as error:
                if not self._retry.allows(error, attempt):
                    raise
                _logger.warning("%s failed at attempt %d and is tried again: %s", self._name, attempt + 1, error)
                if self._metrics is not None:
                    self._metrics.record_retry(query)
            await self._retry.wait(attempt)
            attempt += 1

    def _record(self, query: Query[object], error: Exception | None, started: float) -> None:
        """Count the query; what goes wrong with that does not change how the query went."""
        if self._metrics is None:
            return
        seconds = self._clock() - started
        try:
            if error is None:
                self._metrics.record_query_success(query, seconds)
            else:
                self._metrics.record_query_failure(query, error, seconds)
        except Exception:
            _logger.exception("The metrics of %s could not be recorded", self._name)


_NOTHING: AbstractContextManager[None] = nullcontext()


def _checks(query_type: type, services: QueryServices, options: HandlerOptions) -> Iterator[Check]:
    validation, authorization = services.validation, services.authorization
    validate = validation_of(validation, query_type, lambda query, context: validation.validate_query(query))
    if options.validation and validate is not None:
        yield validate
    if authorization_can_deny(authorization, query_type):
        yield authorization.authorize_query


def _cached_answers(
    query_type: type,
    handler: QueryHandler[Query[object], object],
    services: QueryServices,
    calls: HandlerCalls,
    metrics: CqrsMetricsService | None,
) -> CachedAnswers | None:
    own_ttl = handler.get_cache_ttl_seconds()
    seconds = services.cache_ttl if own_ttl is None else own_ttl
    if services.cache is None or seconds <= 0 or not handler.supports_caching():
        return None
    return CachedAnswers(
        query_type,
        services.cache,
        services.flights,
        ttl=timedelta(seconds=seconds),
        prefix=handler_options(handler).cache_key_prefix,
        by_asker=reads_context(handler),
        expected=calls.expected,
        metrics=metrics,
    )
