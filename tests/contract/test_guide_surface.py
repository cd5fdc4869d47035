"""Every module, name, parameter, default and option of the guide, table by table.

Others write programs against the guide without seeing this code: a name that moves, or a parameter that is renamed,
breaks them. Names that the guide uses without listing them stand here as well.
"""

import importlib
import inspect
from datetime import datetime

import pytest

from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.handler import CommandHandler, ContextAwareCommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.config.properties import CqrsProperties
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext, ExecutionContextBuilder
from cqrs.decorators import command_handler, query_handler
from cqrs.event.eda import EventPublisher, InProcessEventPublisher
from cqrs.event.publisher import CommandEventPublisher, EdaCommandEventPublisher, NoOpEventPublisher
from cqrs.query.bus import DefaultQueryBus, QueryBus
from cqrs.query.handler import ContextAwareQueryHandler, QueryHandler
from cqrs.types import Command, Query

NAMES = {
    "cqrs.types": "Command Query",
    "cqrs.container": "service",
    "cqrs.decorators": "command_handler query_handler",
    "cqrs.exceptions": "CommandProcessingException QueryProcessingException CommandHandlerNotFoundException "
    "QueryHandlerNotFoundException",
    "cqrs.command.bus": "CommandBus DefaultCommandBus",
    "cqrs.command.handler": "CommandHandler ContextAwareCommandHandler",
    "cqrs.command.registry": "HandlerRegistry",
    "cqrs.command.validation": "CommandValidationService",
    "cqrs.command.metrics": "CqrsMetricsService",
    "cqrs.query.bus": "QueryBus DefaultQueryBus",
    "cqrs.query.handler": "QueryHandler ContextAwareQueryHandler",
    "cqrs.validation.types": "ValidationResult ValidationError ValidationSeverity",
    "cqrs.validation.exceptions": "CqrsValidationException",
    "cqrs.validation.processor": "AutoValidationProcessor",
    "cqrs.authorization.types": "AuthorizationResult AuthorizationError AuthorizationSeverity",
    "cqrs.authorization.service": "AuthorizationService",
    "cqrs.authorization.exceptions": "AuthorizationException",
    "cqrs.context.execution_context": "ExecutionContext DefaultExecutionContext ExecutionContextBuilder",
    "cqrs.tracing.correlation": "CorrelationContext HEADER_CORRELATION_ID HEADER_TRACE_ID HEADER_SPAN_ID",
    "cqrs.cache.adapter": "QueryCacheAdapter CacheAdapter",
    "cqrs.cache.eda_bridge": "EdaCacheInvalidationBridge",
    "cqrs.event.publisher": "CommandEventPublisher NoOpEventPublisher EdaCommandEventPublisher",
    "cqrs.event.decorators": "publish_domain_event",
    "cqrs.event.eda": "EventPublisher EventEnvelope",
    "cqrs.fluent.command_builder": "CommandBuilder",
    "cqrs.fluent.query_builder": "QueryBuilder",
    "cqrs.config.properties": "CqrsProperties",
    "cqrs.config.auto_configuration": "CqrsAutoConfiguration",
    "cqrs.actuator.endpoint": "CqrsMetricsEndpoint",
    "cqrs.actuator.health": "CqrsHealthIndicator",
}


@pytest.mark.parametrize(("module", "names"), NAMES.items(), ids=NAMES)
def test_names_are_imported_from_where_the_guide_says(module: str, names: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


# For each method its parameters in order; `=` marks one with a default, `*` those by keyword only.
SIGNATURES = {
    "cqrs.types:Command": {
        "get_command_id": "",
        "get_correlation_id": "",
        "set_correlation_id": "correlation_id",
        "get_timestamp": "",
        "get_initiated_by": "",
        "set_initiated_by": "user_id",
        "get_metadata": "",
        "set_metadata": "key value",
        "validate": "",
        "authorize": "",
        "authorize_with_context": "ctx",
        "get_cache_key": "",
    },
    "cqrs.types:Query": {
        "get_query_id": "",
        "get_correlation_id": "",
        "set_correlation_id": "correlation_id",
        "get_timestamp": "",
        "get_metadata": "",
        "is_cacheable": "",
        "set_cacheable": "cacheable",
        "get_cache_key": "",
        "validate": "",
        "authorize": "",
        "authorize_with_context": "ctx",
    },
    "cqrs.command.bus:CommandBus": {
        "send": "command",
        "send_with_context": "command context",
        "register_handler": "handler",
        "unregister_handler": "command_type",
        "has_handler": "command_type",
    },
    "cqrs.command.bus:DefaultCommandBus": {
        "__init__": "registry validation=None authorization=None metrics=None event_publisher=None",
    },
    "cqrs.query.bus:QueryBus": {
        "query": "query",
        "query_with_context": "query context",
        "register_handler": "handler",
        "unregister_handler": "query_type",
        "has_handler": "query_type",
        "clear_cache": "cache_key",
        "clear_all_cache": "",
    },
    "cqrs.query.bus:DefaultQueryBus": {
        "__init__": "registry validation=None authorization=None metrics=None cache_adapter=None default_cache_ttl=900",
    },
    "cqrs.command.registry:HandlerRegistry": {
        "__init__": "",
        "register_command_handler": "handler",
        "register_query_handler": "handler",
        "unregister_command_handler": "command_type",
        "unregister_query_handler": "query_type",
        "find_command_handler": "command_type",
        "find_query_handler": "query_type",
        "has_command_handler": "command_type",
        "has_query_handler": "query_type",
        "get_registered_command_types": "",
        "get_registered_query_types": "",
        "discover_from_beans": "beans",
    },
    "cqrs.validation.types:ValidationResult": {
        "success": "",
        "failure": "field_name message",
        "from_errors": "errors",
        "combine": "other",
        "error_messages": "",
    },
    "cqrs.validation.types:ValidationError": {
        "__init__": "field_name message error_code='VALIDATION_ERROR' severity=ERROR rejected_value=None",
    },
    "cqrs.validation.exceptions:CqrsValidationException": {"__init__": "result message=None"},
    "cqrs.authorization.types:AuthorizationResult": {
        "success": "",
        "failure": "resource message",
        "from_errors": "errors",
        "combine": "other",
        "error_messages": "",
    },
    "cqrs.authorization.types:AuthorizationError": {
        "__init__": "resource message error_code='AUTHORIZATION_ERROR' severity=ERROR denied_action=None",
    },
    "cqrs.authorization.exceptions:AuthorizationException": {"__init__": "result message=None"},
    "cqrs.authorization.service:AuthorizationService": {
        "__init__": "enabled=True",
        "authorize_command": "command context=None",
        "authorize_query": "query context=None",
    },
    "cqrs.command.validation:CommandValidationService": {
        "__init__": "processor=None",
        "validate_command": "command",
        "validate_query": "query",
        "validate_sync": "message",
    },
    "cqrs.validation.processor:AutoValidationProcessor": {"validate": "message", "validate_sync": "message"},
    "cqrs.command.metrics:CqrsMetricsService": {
        "__init__": "registry=None",
        "record_command_success": "command seconds",
        "record_command_failure": "command error seconds",
        "record_query_success": "query seconds",
        "record_query_failure": "query error seconds",
    },
    "cqrs.tracing.correlation:CorrelationContext": {
        "set_correlation_id": "correlation_id",
        "get_correlation_id": "",
        "get_or_create_correlation_id": "",
        "generate_correlation_id": "",
        "set_trace_id": "trace_id",
        "get_trace_id": "",
        "set_span_id": "span_id",
        "get_span_id": "",
        "create_context_headers": "",
        "extract_context_from_headers": "headers",
        "clear": "",
    },
    "cqrs.cache.adapter:QueryCacheAdapter": {
        "__init__": "cache=None",
        "get": "key",
        "put": "key value ttl=None",
        "evict": "key",
        "clear": "",
    },
    "cqrs.cache.eda_bridge:EdaCacheInvalidationBridge": {
        "__init__": "cache",
        "register": "event_type cache_key_pattern",
    },
    "cqrs.event.eda:EventPublisher": {
        "publish": "destination event_type payload headers=None",
        "subscribe": "pattern handler",
    },
    "cqrs.event.eda:EventEnvelope": {"__init__": "event_type payload"},
    "cqrs.event.publisher:CommandEventPublisher": {"publish": "event * destination=None"},
    "cqrs.event.publisher:NoOpEventPublisher": {"publish": "event * destination=None"},
    "cqrs.event.publisher:EdaCommandEventPublisher": {
        "__init__": "producer default_destination='cqrs.events'",
        "publish": "event * destination=None",
    },
    "cqrs.event.decorators:": {"publish_domain_event": "destination=None message_format='json'"},
    "cqrs.fluent.command_builder:CommandBuilder": {
        "create": "command_type",
        "with_field": "name value",
        "with_fields": "**fields",
        "correlated_by": "correlation_id",
        "initiated_by": "user_id",
        "at": "timestamp",
        "with_metadata": "key value",
        "build": "",
        "execute_with": "bus",
    },
    "cqrs.fluent.query_builder:QueryBuilder": {
        "create": "query_type",
        "with_field": "name value",
        "with_fields": "**fields",
        "correlated_by": "correlation_id",
        "at": "timestamp",
        "with_metadata": "key value",
        "cached": "enabled=True",
        "with_cache_key": "key",
        "build": "",
        "execute_with": "bus",
    },
    "cqrs.context.execution_context:ExecutionContextBuilder": {
        "with_user_id": "user_id",
        "with_tenant_id": "tenant_id",
        "with_organization_id": "organization_id",
        "with_session_id": "session_id",
        "with_request_id": "request_id",
        "with_source": "source",
        "with_client_ip": "client_ip",
        "with_user_agent": "user_agent",
        "with_feature_flag": "name enabled=True",
        "with_property": "key value",
        "build": "",
    },
    "cqrs.context.execution_context:DefaultExecutionContext": {
        "get_feature_flag": "name default=False",
        "get_property": "key default=None",
    },
    "cqrs.actuator.endpoint:CqrsMetricsEndpoint": {"__init__": "registry", "get_metrics": ""},
    "cqrs.actuator.health:CqrsHealthIndicator": {"__init__": "registry", "health": ""},
}
METHODS = [(owner, method, told) for owner, methods in SIGNATURES.items() for method, told in methods.items()]


def parameters(function: object) -> list[str]:
    """Return the parameters of a function as the tables above write them, without `self`."""
    listed: list[str] = []
    for one in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        default = "" if one.default is one.empty else f"={getattr(one.default, 'value', repr(one.default))}"
        if one.kind is one.KEYWORD_ONLY and "*" not in listed:
            listed.append("*")
        if one.name != "self":
            listed.append(f"{'**' if one.kind is one.VAR_KEYWORD else ''}{one.name}{default}")
    return listed


@pytest.mark.parametrize(("owner", "method", "told"), METHODS, ids=[f"{each[0]}.{each[1]}" for each in METHODS])
def test_parameters_have_the_guides_names_order_and_defaults(owner: str, method: str, told: str) -> None:
    module, _, name = owner.partition(":")
    holder = getattr(importlib.import_module(module), name) if name else importlib.import_module(module)
    taken = parameters(getattr(holder, method))
    asked = told.split()

    assert taken[: len(asked)] == asked
    # What we take beyond the guide may be left out.
    assert all("=" in each or each == "*" for each in taken[len(asked) :])


OPTIONS = {
    command_handler: "timeout=None retries=0 backoff_ms=1000 metrics=True tracing=True validation=True priority=0 "
    "tags=() description=''",
    query_handler: "timeout=None retries=0 metrics=True tracing=True cacheable=False cache_ttl=None "
    "cache_key_prefix=None priority=0 tags=() description=''",
}


@pytest.mark.parametrize("decorator", OPTIONS, ids=lambda decorator: decorator.__name__)
def test_decorators_have_the_guides_options_and_defaults(decorator: object) -> None:
    assert set(OPTIONS[decorator].split()) <= set(parameters(decorator))  # type: ignore[index]


ASYNC = [
    (Command, "validate authorize authorize_with_context"),
    (Query, "validate authorize authorize_with_context"),
    (CommandHandler, "handle do_handle pre_process post_process on_success on_error handle_with_context"),
    (QueryHandler, "handle do_handle pre_process post_process on_success on_error handle_with_context"),
    (ContextAwareCommandHandler, "do_handle_with_context"),
    (ContextAwareQueryHandler, "do_handle_with_context"),
    (DefaultCommandBus, "send send_with_context"),
    (DefaultQueryBus, "query query_with_context clear_cache clear_all_cache"),
    (NoOpEventPublisher, "publish"),
    (EdaCommandEventPublisher, "publish"),
]


@pytest.mark.parametrize(("owner", "methods"), ASYNC, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_awaited_in_the_guide_is_a_coroutine_function(owner: type, methods: str) -> None:
    plain = [name for name in methods.split() if not inspect.iscoroutinefunction(getattr(owner, name))]
    assert plain == []


PORTS = [
    (CommandBus, DefaultCommandBus(HandlerRegistry())),
    (QueryBus, DefaultQueryBus(HandlerRegistry())),
    (ExecutionContext, DefaultExecutionContext()),
    (ExecutionContext, ExecutionContextBuilder().build()),
    (CommandEventPublisher, NoOpEventPublisher()),
    (CommandEventPublisher, EdaCommandEventPublisher(InProcessEventPublisher())),
    (EventPublisher, InProcessEventPublisher()),
]


@pytest.mark.parametrize(("port", "one"), PORTS, ids=[f"{port.__name__}-{type(one).__name__}" for port, one in PORTS])
def test_ports_can_be_checked_at_run_time(port: type, one: object) -> None:
    assert isinstance(one, port)
    assert not isinstance(object(), port)


KEYS: dict[str, object] = {
    "enabled": True,
    "command.timeout": 30,
    "command.metrics_enabled": True,
    "command.tracing_enabled": True,
    "query.timeout": 15,
    "query.caching_enabled": True,
    "query.cache_ttl": 900,
    "query.metrics_enabled": True,
    "query.tracing_enabled": True,
    "authorization.enabled": True,
    "authorization.custom.enabled": True,
    "authorization.custom.timeout_ms": 5000,
}


@pytest.mark.parametrize(("key", "default"), KEYS.items(), ids=KEYS)
def test_every_key_has_the_guides_name_type_and_default(key: str, default: object) -> None:
    value: object = CqrsProperties()
    for part in key.split("."):
        value = getattr(value, part)
    assert (type(value), value) == (type(default), default)


TEXTS = ("user_id", "tenant_id", "organization_id", "session_id", "request_id", "source", "client_ip", "user_agent")
CONTEXT = {
    **dict.fromkeys(TEXTS, type(None)),
    "created_at": datetime,
    "properties": dict,
    "feature_flags": dict,
}


@pytest.mark.parametrize(("name", "kind"), CONTEXT.items(), ids=CONTEXT)
def test_a_context_has_the_guides_properties(name: str, kind: type) -> None:
    assert type(getattr(DefaultExecutionContext(), name)) is kind
    assert hasattr(ExecutionContext, name)
