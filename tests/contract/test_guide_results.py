"""What the guide's results, exceptions, headers and recordings hold, called as a program written against it would."""

from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock, MagicMock
from uuid import UUID

import pytest

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.service import AuthorizationService
from cqrs.authorization.types import AuthorizationError, AuthorizationResult, AuthorizationSeverity
from cqrs.command.bus import DefaultCommandBus
from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.metrics import CqrsMetricsService
from cqrs.command.registry import HandlerRegistry
from cqrs.command.validation import CommandValidationService
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext, ExecutionContextBuilder
from cqrs.event.decorators import publish_domain_event
from cqrs.event.publisher import EdaCommandEventPublisher
from cqrs.exceptions import (
    CommandHandlerNotFoundException,
    CommandProcessingException,
    QueryHandlerNotFoundException,
    QueryProcessingException,
)
from cqrs.query.bus import DefaultQueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.tracing.correlation import (
    HEADER_CORRELATION_ID,
    HEADER_SPAN_ID,
    HEADER_TRACE_ID,
    CorrelationContext,
)
from cqrs.types import Command, Query
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.processor import AutoValidationProcessor
from cqrs.validation.types import ValidationError, ValidationResult, ValidationSeverity


@dataclass(frozen=True)
class Create(Command[str]):
    name: str = "n"

    async def validate(self) -> ValidationResult:
        return ValidationResult.success() if self.name else ValidationResult.failure("name", "is empty")

    async def authorize(self) -> AuthorizationResult:
        return AuthorizationResult.success() if self.name != "x" else AuthorizationResult.failure("order", "no x")


@dataclass(frozen=True)
class Find(Query[str]):
    name: str = "n"


class CreateHandler(CommandHandler[Create, str]):
    async def do_handle(self, command: Create) -> str:
        if command.name == "fail":
            raise ValueError("it failed")
        return command.name


class FindHandler(QueryHandler[Find, str]):
    async def do_handle(self, query: Find) -> str:
        if query.name == "fail":
            raise ValueError("it failed")
        return query.name


def registry() -> HandlerRegistry:
    made = HandlerRegistry()
    made.register_command_handler(CreateHandler())
    made.register_query_handler(FindHandler())
    return made


# -- results --


def test_validation_results() -> None:
    failed = ValidationResult.failure("total", "Must be positive")
    assert (ValidationResult.success().valid, ValidationResult.success().errors) == (True, ())
    assert (failed.valid, isinstance(failed.errors, tuple), len(failed.errors)) == (False, True, 1)
    assert failed.errors[0] == ValidationError(field_name="total", message="Must be positive")
    assert (failed.errors[0].error_code, failed.errors[0].severity) == ("VALIDATION_ERROR", ValidationSeverity.ERROR)
    assert failed.errors[0].rejected_value is None
    assert failed.error_messages() == ["total: Must be positive"]
    assert failed.summary == "total: Must be positive"
    listed = ValidationResult.from_errors([ValidationError("a", "b"), ValidationError("c", "d")])
    assert listed.combine(failed).error_messages() == ["a: b", "c: d", "total: Must be positive"]
    assert ValidationResult.from_errors([]).valid


def test_authorization_results() -> None:
    failed = AuthorizationResult.failure("order", "Only admins")
    assert (AuthorizationResult.success().authorized, AuthorizationResult.success().errors) == (True, ())
    assert (failed.authorized, failed.errors) == (False, (AuthorizationError(resource="order", message="Only admins"),))
    assert (failed.errors[0].error_code, failed.errors[0].denied_action) == ("AUTHORIZATION_ERROR", None)
    assert failed.errors[0].severity is AuthorizationSeverity.ERROR
    assert failed.error_messages() == ["order: Only admins"]
    assert not AuthorizationResult.success().combine(failed).authorized
    assert not failed.combine(AuthorizationResult.success()).authorized


@pytest.mark.parametrize("severity", [ValidationSeverity, AuthorizationSeverity])
def test_severities(severity: type[ValidationSeverity]) -> None:
    assert [each.value for each in severity] == ["WARNING", "ERROR", "CRITICAL"]


def test_results_and_contexts_are_frozen() -> None:
    for frozen, name in (
        (ValidationResult.success(), "valid"),
        (AuthorizationResult.success(), "authorized"),
        (DefaultExecutionContext(), "user_id"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, name, None)


# -- exceptions --


def test_refusals_are_made_of_a_result_and_perhaps_a_message() -> None:
    invalid, denied = ValidationResult.failure("a", "b"), AuthorizationResult.failure("c", "d")
    assert CqrsValidationException(invalid).result is invalid
    assert AuthorizationException(denied).result is denied
    assert (str(CqrsValidationException(invalid)), str(AuthorizationException(denied))) == ("a: b", "c: d")
    assert (
        str(CqrsValidationException(invalid, "told")) == str(AuthorizationException(denied, message="told")) == "told"
    )


@pytest.mark.asyncio
async def test_failures_of_the_command_bus() -> None:
    bus = DefaultCommandBus(registry=registry())
    for command, kind in (
        (Create(""), CqrsValidationException),
        (Create("x"), AuthorizationException),
        (Create("fail"), CommandProcessingException),
    ):
        with pytest.raises(CommandProcessingException) as failed:
            await bus.send(command)
        assert isinstance(failed.value, kind)
        assert failed.value.command_type is Create
        assert failed.value.cause is failed.value.__cause__ is not None
    assert isinstance(failed.value.cause, ValueError)
    assert "it failed" in str(failed.value)
    with pytest.raises(CommandHandlerNotFoundException, match="Missing"):
        await bus.send(type("Missing", (Command,), {})())


@pytest.mark.asyncio
async def test_failures_of_the_query_bus() -> None:
    bus = DefaultQueryBus(registry=registry())
    with pytest.raises(QueryProcessingException, match="it failed") as failed:
        await bus.query(Find("fail"))
    assert (failed.value.query_type, type(failed.value.cause)) == (Find, ValueError)
    with pytest.raises(QueryHandlerNotFoundException, match="Missing"):
        await bus.query(type("Missing", (Query,), {})())


@pytest.mark.asyncio
async def test_a_context_aware_handler_names_itself_when_it_is_called_without_a_context() -> None:
    class TransferFundsHandler(ContextAwareCommandHandler[Create, str]):
        async def do_handle_with_context(self, command: Create, context: ExecutionContext) -> str:
            return str(context.user_id)

    class BalanceHandler(ContextAwareQueryHandler[Find, str]):
        async def do_handle_with_context(self, query: Find, context: ExecutionContext) -> str:
            return str(context.user_id)

    with pytest.raises(RuntimeError, match="TransferFundsHandler requires an ExecutionContext"):
        await TransferFundsHandler().handle(Create())
    with pytest.raises(RuntimeError, match="BalanceHandler requires an ExecutionContext"):
        await BalanceHandler().handle(Find())
    context = ExecutionContextBuilder().with_user_id("u-1").build()
    assert await BalanceHandler().handle_with_context(Find(), context) == "u-1"


# -- registry, buses, services --


def test_the_registry_answers_with_sets_counts_and_truth() -> None:
    made = registry()
    assert made.get_registered_command_types() == {Create}
    assert made.get_registered_query_types() == {Find}
    assert (made.command_handler_count, made.query_handler_count) == (1, 1)
    assert made.find_command_handler(Create).get_command_type() is Create
    assert made.find_query_handler(Find).get_query_type() is Find
    assert [made.unregister_command_handler(Create), made.unregister_command_handler(Create)] == [True, False]
    assert [made.unregister_query_handler(Find), made.unregister_query_handler(Find)] == [True, False]
    with pytest.raises(CommandHandlerNotFoundException):
        made.find_command_handler(Create)
    with pytest.raises(QueryHandlerNotFoundException):
        made.find_query_handler(Find)


def test_buses_register_and_forget_handlers() -> None:
    bus, asked = DefaultCommandBus(HandlerRegistry()), DefaultQueryBus(HandlerRegistry())
    bus.register_handler(CreateHandler())
    asked.register_handler(FindHandler())
    assert (bus.has_handler(Create), asked.has_handler(Find)) == (True, True)
    bus.unregister_handler(Create)
    asked.unregister_handler(Find)
    assert (bus.has_handler(Create), asked.has_handler(Find)) == (False, False)


@pytest.mark.asyncio
async def test_services_raise_for_a_refusal_and_return_for_the_rest() -> None:
    validation = CommandValidationService(AutoValidationProcessor())
    await validation.validate_command(Create())
    await validation.validate_query(Find())
    assert validation.validate_sync(Create("")).valid  # the structure alone
    with pytest.raises(CqrsValidationException) as invalid:
        await validation.validate_command(Create(""))
    assert invalid.value.result.error_messages() == ["name: is empty"]

    authorization = AuthorizationService(enabled=True)
    await authorization.authorize_command(Create(), None)
    await authorization.authorize_query(Find(), context=DefaultExecutionContext())
    with pytest.raises(AuthorizationException):
        await authorization.authorize_command(Create("x"))
    off = AuthorizationService(enabled=False)
    await off.authorize_command(Create("x"))
    assert (authorization.is_enabled, off.is_enabled) == (True, False)


@pytest.mark.asyncio
async def test_metrics_are_recorded_with_message_error_and_seconds() -> None:
    metrics = MagicMock(spec=CqrsMetricsService)
    commands, queries = DefaultCommandBus(registry(), metrics=metrics), DefaultQueryBus(registry(), metrics=metrics)
    await commands.send(command := Create())
    await queries.query(query := Find())
    with pytest.raises(CommandProcessingException):
        await commands.send(failing := Create("fail"))
    with pytest.raises(QueryProcessingException):
        await queries.query(unanswered := Find("fail"))

    for record, message, kinds in (
        (metrics.record_command_success, command, [float]),
        (metrics.record_query_success, query, [float]),
        (metrics.record_command_failure, failing, [ValueError, float]),
        (metrics.record_query_failure, unanswered, [ValueError, float]),
    ):
        record.assert_called_once()
        first, *others = record.call_args.args
        assert first is message
        assert [type(other) for other in others] == kinds
    CqrsMetricsService().record_command_success(command, 0.1)  # without a registry a silent no-op


@pytest.mark.asyncio
async def test_a_cache_that_is_a_mock_is_asked_with_key_and_timedelta() -> None:
    class Cached(FindHandler):
        def supports_caching(self) -> bool:
            return True

    cache = AsyncMock()
    cache.get.return_value = None
    bus = DefaultQueryBus(HandlerRegistry(), cache_adapter=cache, default_cache_ttl=60)
    bus.register_handler(Cached())
    assert await bus.query(Find("a")) == "a"
    cache.put.assert_awaited_once_with(Find("a").get_cache_key(), "a", timedelta(seconds=60))
    cache.get.return_value = "kept"
    assert await bus.query(Find("a")) == "kept"
    await bus.clear_cache("key")
    cache.evict.assert_awaited_once_with("key")
    await bus.clear_all_cache()
    cache.clear.assert_awaited_once_with()


# -- context, correlation, events --


def test_a_context_is_built_of_everything_that_is_said() -> None:
    context = (
        ExecutionContextBuilder()
        .with_user_id("u")
        .with_tenant_id("t")
        .with_organization_id("o")
        .with_session_id("s")
        .with_request_id("r")
        .with_source("web")
        .with_client_ip("192.0.2.1")
        .with_user_agent("curl")
        .with_property("k", 1)
        .with_feature_flag("f", True)
        .build()
    )
    assert (context.user_id, context.tenant_id, context.organization_id) == ("u", "t", "o")
    assert (context.session_id, context.request_id, context.source) == ("s", "r", "web")
    assert (context.client_ip, context.user_agent) == ("192.0.2.1", "curl")
    assert (context.properties, context.feature_flags) == ({"k": 1}, {"f": True})
    assert (context.get_property("k"), context.get_property("x"), context.get_property("x", 2)) == (1, None, 2)
    assert context.get_feature_flag("f") is True
    assert (context.get_feature_flag("x"), context.get_feature_flag("x", True)) == (False, True)
    assert datetime.now(UTC) - context.created_at < timedelta(minutes=1)


def test_headers_have_the_guides_names() -> None:
    names = (HEADER_CORRELATION_ID, HEADER_TRACE_ID, HEADER_SPAN_ID)
    assert names == ("X-Correlation-ID", "X-Trace-ID", "X-Span-ID")
    CorrelationContext.clear()
    CorrelationContext.set_correlation_id("c")
    CorrelationContext.set_trace_id("t")
    CorrelationContext.set_span_id("s")
    headers = CorrelationContext.create_context_headers()
    assert headers == dict(zip(names, "cts", strict=True))
    CorrelationContext.clear()
    assert CorrelationContext.create_context_headers() == {}
    CorrelationContext.extract_context_from_headers(headers)
    assert (CorrelationContext.get_correlation_id(), CorrelationContext.get_trace_id()) == ("c", "t")
    CorrelationContext.clear()
    assert UUID(CorrelationContext.get_or_create_correlation_id()).version == 4


@pytest.mark.asyncio
async def test_the_event_bus_is_called_with_destination_type_payload_and_headers() -> None:
    @dataclass(frozen=True)
    class OrderCreated:
        order_id: str

    class Named(OrderCreated):
        event_type = "order.created"

    class Plain:
        def __init__(self) -> None:
            self.order_id = "3"

    producer = AsyncMock()
    publisher = EdaCommandEventPublisher(producer=producer)
    await publisher.publish(OrderCreated("1"))
    await publisher.publish(Named("2"), destination="orders.events")
    await publisher.publish(Plain())
    assert [call.args for call in producer.publish.await_args_list] == [
        ("cqrs.events", "OrderCreated", {"order_id": "1"}),
        ("orders.events", "order.created", {"order_id": "2"}),
        ("cqrs.events", "Plain", {"order_id": "3"}),
    ]
    assert all(set(call.kwargs) == {"headers"} for call in producer.publish.await_args_list)


@pytest.mark.asyncio
async def test_a_publisher_of_the_guide_is_given_event_and_destination_alone() -> None:
    @publish_domain_event(destination="orders.events", message_format="json")
    class Routed(CreateHandler):
        async def do_handle(self, command: Create) -> str:
            vars(command)["domain_events"] = ["e"]
            return "done"

    publisher = AsyncMock()
    bus = DefaultCommandBus(registry=HandlerRegistry(), event_publisher=publisher)
    bus.register_handler(Routed())
    await bus.send(Create())
    publisher.publish.assert_awaited_once_with("e", destination="orders.events")
    assert vars(Routed)["__pyfly_publish_event__"] is True
    assert vars(Routed)["__pyfly_event_destination__"] == "orders.events"
