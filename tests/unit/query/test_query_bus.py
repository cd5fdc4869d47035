"""The query bus: the pipeline without the cache, its options and its typing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.retries import Timing
from cqrs.config.properties import CqrsProperties, QueryProperties
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import query_handler
from cqrs.exceptions import (
    CommandProcessingException,
    DependencyUnavailableException,
    HandlerTimeoutException,
    QueryHandlerNotFoundException,
    QueryProcessingException,
    UnexpectedResultException,
)
from cqrs.query.bus import DefaultQueryBus, QueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.tracing.correlation import CorrelationContext
from cqrs.types import Query
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult

Act = Callable[["Find"], Awaitable[object]]


@dataclass(frozen=True)
class Find(Query[str]):
    x: int = 1
    user: str = "admin"
    asked: list[str] = field(default_factory=list, compare=False)

    async def validate(self) -> ValidationResult:
        self.asked.append("validate")
        return ValidationResult.success() if self.x > 0 else ValidationResult.failure("x", "must be positive")

    async def authorize(self) -> AuthorizationResult:
        self.asked.append("authorize")
        return AuthorizationResult.success() if self.user == "admin" else AuthorizationResult.failure("order", "no")


@query_handler
class FindHandler(QueryHandler[Find, str]):
    def __init__(self, act: Act | None = None) -> None:
        self.act = act
        self.handled = 0

    async def do_handle(self, query: Find) -> str:
        query.asked.append("handle")
        self.handled += 1
        return "found" if self.act is None else await self.act(query)  # type: ignore[return-value]


def registry_of(handler: QueryHandler[Find, str]) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_query_handler(handler)
    return registry


def failing_with(error: BaseException) -> Act:
    async def act(query: Find) -> str:
        raise error

    return act


async def no_sleep(seconds: float) -> None:
    return None


@pytest.mark.asyncio
async def test_a_bus_built_with_the_registry_alone_validates_authorizes_and_handles_in_that_order() -> None:
    bus = DefaultQueryBus(registry=registry_of(FindHandler()))
    query = Find()
    assert await bus.query(query) == "found"
    assert query.asked == ["validate", "authorize", "handle"]
    assert isinstance(bus, QueryBus)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "kind"), [(Find(x=0), CqrsValidationException), (Find(user="someone"), AuthorizationException)]
)
async def test_a_refusal_is_both_kinds_of_exception(query: Find, kind: type[Exception]) -> None:
    with pytest.raises(QueryProcessingException) as refused:
        await DefaultQueryBus(registry_of(FindHandler())).query(query)
    assert isinstance(refused.value, kind)
    assert refused.value.query_type is Find
    assert type(refused.value.cause) is kind
    assert not isinstance(refused.value, CommandProcessingException)
    assert "handle" not in query.asked


@pytest.mark.asyncio
async def test_a_failure_is_wrapped_its_chain_kept_and_its_kind_recognisable() -> None:
    away = DependencyUnavailableException("database", "refused")
    with pytest.raises(QueryProcessingException) as failed:
        await DefaultQueryBus(registry_of(FindHandler(failing_with(away)))).query(Find())
    assert failed.value.cause is failed.value.__cause__ is away
    assert failed.value.query_type is Find
    assert failed.value.retryable


@pytest.mark.asyncio
async def test_a_refusal_by_the_handler_is_one_of_the_bus() -> None:
    denied = AuthorizationException(AuthorizationResult.failure("order", "not yours"))
    with pytest.raises(AuthorizationException) as refused:
        await DefaultQueryBus(registry_of(FindHandler(failing_with(denied)))).query(Find())
    assert isinstance(refused.value, QueryProcessingException)


@pytest.mark.asyncio
async def test_the_refusal_of_a_nested_query_is_a_plain_failure() -> None:
    inner = DefaultQueryBus(registry_of(FindHandler()))

    async def nested(query: Find) -> str:
        return await inner.query(Find(x=0))

    with pytest.raises(QueryProcessingException) as failed:
        await DefaultQueryBus(registry_of(FindHandler(nested))).query(Find())
    assert type(failed.value) is QueryProcessingException
    assert isinstance(failed.value.cause, CqrsValidationException)


@pytest.mark.asyncio
async def test_cancellation_passes_unwrapped() -> None:
    with pytest.raises(asyncio.CancelledError):
        await DefaultQueryBus(registry_of(FindHandler(failing_with(asyncio.CancelledError())))).query(Find())


@pytest.mark.asyncio
async def test_handlers_come_and_go() -> None:
    bus = DefaultQueryBus(HandlerRegistry())
    with pytest.raises(QueryHandlerNotFoundException, match="Find"):
        await bus.query(Find())
    bus.register_handler(FindHandler())
    assert bus.has_handler(Find)
    assert await bus.query(Find()) == "found"
    assert bus.unregister_handler(Find) is True
    assert bus.unregister_handler(Find) is False
    with pytest.raises(QueryHandlerNotFoundException):
        await bus.query(Find())


@pytest.mark.asyncio
async def test_a_context_reaches_the_handler_that_asks_for_it() -> None:
    class Aware(ContextAwareQueryHandler[Find, str]):
        async def do_handle_with_context(self, query: Find, context: ExecutionContext) -> str:
            return f"for-{context.user_id}"

    bus = DefaultQueryBus(registry_of(Aware()))
    assert await bus.query_with_context(Find(), DefaultExecutionContext(user_id="u-1")) == "for-u-1"
    with pytest.raises(QueryProcessingException, match="Aware requires an ExecutionContext"):
        await bus.query(Find())
    plain = DefaultQueryBus(registry_of(FindHandler()))
    assert await plain.query_with_context(Find(), DefaultExecutionContext()) == "found"


@pytest.mark.asyncio
async def test_the_correlation_id_is_set_restored_and_written_back() -> None:
    seen: list[str | None] = []

    async def look(query: Find) -> str:
        seen.append(CorrelationContext.get_correlation_id())
        return "found"

    bus = DefaultQueryBus(registry_of(FindHandler(look)))
    root = Find()
    await bus.query(root)
    with CorrelationContext.scope(correlation_id="outer"):
        await bus.query(inheriting := Find())
        assert CorrelationContext.get_correlation_id() == "outer"
    assert seen == [root.get_query_id(), "outer"]
    assert [root.get_correlation_id(), inheriting.get_correlation_id()] == seen


@pytest.mark.asyncio
async def test_a_handler_past_its_limit_fails_and_is_not_tried_again() -> None:
    @query_handler(timeout=0.01, retries=3)
    class Slow(FindHandler):
        pass

    async def hang(query: Find) -> str:
        await asyncio.Event().wait()
        return "never"

    handler = Slow(hang)
    with pytest.raises(QueryProcessingException) as failed:
        await DefaultQueryBus(registry_of(handler)).query(Find())
    assert isinstance(failed.value.cause, HandlerTimeoutException)
    assert failed.value.cause.seconds == 0.01
    assert handler.handled == 1


class Recorded:
    def __init__(self) -> None:
        self.counted: list[str] = []
        self.seconds: list[float] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        self.counted.append(labels.get("outcome", name))

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        self.seconds.append(seconds)


@pytest.mark.asyncio
async def test_a_failed_handler_is_tried_again() -> None:
    @query_handler(retries=2, backoff_ms=100)
    class Stubborn(FindHandler):
        pass

    left = [ValueError(), ValueError()]
    slept: list[float] = []

    async def act(query: Find) -> str:
        if left:
            raise left.pop()
        return "at last"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    recorded = Recorded()
    bus = DefaultQueryBus(
        registry_of(Stubborn(act)),
        metrics=CqrsMetricsService(recorded),
        timing=Timing(sleep=sleep, uniform=lambda low, high: high),
    )
    assert await bus.query(Find()) == "at last"
    assert slept == [0.1, 0.2]
    assert recorded.counted == ["cqrs_handler_retries_total"] * 2 + ["success"]


@pytest.mark.asyncio
async def test_validation_can_be_switched_off_for_a_handler() -> None:
    @query_handler(validation=False)
    class Trusting(FindHandler):
        pass

    assert await DefaultQueryBus(registry_of(Trusting())).query(Find(x=0)) == "found"


@pytest.mark.asyncio
async def test_a_result_that_the_query_does_not_declare_is_a_failure() -> None:
    async def wrong(query: Find) -> None:
        return None

    with pytest.raises(QueryProcessingException) as failed:
        await DefaultQueryBus(registry_of(FindHandler(wrong))).query(Find())
    assert isinstance(failed.value.cause, UnexpectedResultException)


@pytest.mark.asyncio
async def test_every_outcome_is_counted_and_timed() -> None:
    recorded = Recorded()
    ticks = iter(range(100))
    timing = Timing(clock=lambda: float(next(ticks)))
    metrics = CqrsMetricsService(recorded)
    bus = DefaultQueryBus(registry_of(FindHandler()), metrics=metrics, timing=timing)
    failing = DefaultQueryBus(registry_of(FindHandler(failing_with(ValueError()))), metrics=metrics, timing=timing)
    await bus.query(Find())
    for refusing, query in ((bus, Find(x=0)), (bus, Find(user="x")), (failing, Find())):
        with pytest.raises(QueryProcessingException):
            await refusing.query(query)
    assert recorded.counted == ["success", "validation_failure", "authorization_denied", "failure"]
    assert recorded.seconds == [1.0] * 4


@pytest.mark.asyncio
async def test_metrics_can_be_switched_off_and_their_failures_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    @query_handler(metrics=False)
    class Uncounted(FindHandler):
        pass

    class Broken(CqrsMetricsService):
        def record_query_success(self, query: object, seconds: float) -> None:
            raise OSError("no registry")

    recorded = Recorded()
    metrics = CqrsMetricsService(recorded)
    off = CqrsProperties(query=QueryProperties(metrics_enabled=False))
    await DefaultQueryBus(registry_of(Uncounted()), metrics=metrics).query(Find())
    await DefaultQueryBus(registry_of(FindHandler()), metrics=metrics, properties=off).query(Find())
    assert recorded.counted == []
    assert await DefaultQueryBus(registry_of(FindHandler()), metrics=Broken()).query(Find()) == "found"
    assert "metrics of Find could not be recorded" in caplog.text


@pytest.mark.asyncio
async def test_a_query_has_a_span_and_its_handler_one_within() -> None:
    tracer, query = RecordingTracer(), Find()
    await DefaultQueryBus(registry_of(FindHandler()), tracer=tracer).query(query)
    outer, inner = tracer.spans
    assert (outer.name, inner.name, inner.parent) == ("query Find", "handle FindHandler", outer)
    assert outer.attributes == {"cqrs.message.type": "Find", "cqrs.query.id": query.get_query_id()}

    off = CqrsProperties(query=QueryProperties(tracing_enabled=False))
    untraced = RecordingTracer()
    await DefaultQueryBus(registry_of(FindHandler()), tracer=untraced, properties=off).query(Find())
    assert untraced.spans == []


@pytest.mark.asyncio
async def test_tracing_can_be_switched_off_for_a_handler_and_its_words_are_on_the_spans() -> None:
    @query_handler(tracing=False)
    class Untraced(FindHandler):
        pass

    @query_handler(tags=("orders", "read"), description="Finds orders")
    class Described(FindHandler):
        pass

    tracer = RecordingTracer()
    await DefaultQueryBus(registry_of(Untraced()), tracer=tracer).query(Find())
    assert tracer.spans == []
    await DefaultQueryBus(registry_of(Described()), tracer=tracer).query(Find())
    described = {"cqrs.handler.tags": ("orders", "read"), "cqrs.handler.description": "Finds orders"}
    assert all(described.items() <= span.attributes.items() for span in tracer.spans)
    assert len(tracer.spans) == 2
