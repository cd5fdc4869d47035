import json

import pytest

from cqrs.actuator.endpoint import CqrsMetricsEndpoint
from cqrs.actuator.health import CqrsHealthIndicator
from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.decorators import command_handler, query_handler
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query, message_type


@message_type("orders.CreateOrder")
class Create(Command[str]):
    pass


class Cancel(Command[bool]):
    pass


class Get(Query[str]):
    pass


@command_handler(timeout=3, retries=2, tags=("slow", "billing"), description="Takes an order")
class CreateHandler(CommandHandler[Create, str]):
    async def do_handle(self, command: Create) -> str:
        return ""


@command_handler(priority=5)
class LosingHandler(CommandHandler[Create, str]):
    async def do_handle(self, command: Create) -> str:
        return ""


@command_handler
class CancelHandler(CommandHandler[Cancel, bool]):
    async def do_handle(self, command: Cancel) -> bool:
        return True


@query_handler(cacheable=True, cache_ttl=5, cache_key_prefix="orders")
class GetHandler(QueryHandler[Get, str]):
    async def do_handle(self, query: Get) -> str:
        return ""


@pytest.fixture
def registry() -> HandlerRegistry:
    made = HandlerRegistry()
    made.discover_from_beans([CreateHandler(), LosingHandler(), CancelHandler(), GetHandler()])
    return made


def test_the_endpoint_counts_and_names_what_is_registered(registry: HandlerRegistry) -> None:
    metrics = CqrsMetricsEndpoint(registry=registry).get_metrics()
    assert metrics["command_handlers"] == 2
    assert metrics["query_handlers"] == 1
    assert metrics["registered_command_types"] == ["Cancel", "Create"]
    assert metrics["registered_query_types"] == ["Get"]


def test_the_endpoint_shows_the_options_of_each_handler_in_json(registry: HandlerRegistry) -> None:
    handlers = json.loads(json.dumps(CqrsMetricsEndpoint(registry).get_metrics()))["handlers"]
    shown = {each["handler"]: each for each in handlers}
    assert set(shown) == {"CreateHandler", "LosingHandler", "CancelHandler", "GetHandler"}
    create = shown["CreateHandler"]
    assert (create["message"], create["kind"], create["in_effect"]) == ("orders.CreateOrder", "command", True)
    assert (create["timeout"], create["retries"], create["tags"]) == (3, 2, ["slow", "billing"])
    assert create["description"] == "Takes an order"
    assert (shown["LosingHandler"]["priority"], shown["LosingHandler"]["in_effect"]) == (5, False)
    assert (shown["GetHandler"]["kind"], shown["GetHandler"]["cache_ttl"]) == ("query", 5)


def test_health_is_up_with_a_handler_and_unknown_without(registry: HandlerRegistry) -> None:
    assert CqrsHealthIndicator(registry=registry).health() == {
        "status": "UP",
        "details": {"command_handlers": 2, "query_handlers": 1},
    }
    assert CqrsHealthIndicator(HandlerRegistry()).health() == {
        "status": "UNKNOWN",
        "details": {"command_handlers": 0, "query_handlers": 0},
    }


def test_one_query_handler_is_enough_to_be_up() -> None:
    registry = HandlerRegistry()
    registry.register_query_handler(GetHandler())
    assert CqrsHealthIndicator(registry).health()["status"] == "UP"
