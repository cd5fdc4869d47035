import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from cqrs.cli.handlers import HandlerLine, command_of, handlers_of
from cqrs.cli.listing_views import handlers_list
from cqrs.command.handler import CommandHandler
from cqrs.decorators import command_handler, query_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.exceptions import ConfigurationException
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query, message_type
from tests.unit.cli.rendering import rendered


@message_type("shop.Buy", aliases=("shop.Purchase",))
@dataclass(frozen=True)
class Buy(Command[str]):
    sku: str


@dataclass(frozen=True)
class Look(Query[str]):
    sku: str


@publish_domain_event("shop.events", key="sku")
@command_handler(description="Buy one thing.", tags=("money", "write"))
class BuyHandler(CommandHandler[Buy, str]):
    async def do_handle(self, command: Buy) -> str:
        return command.sku


@query_handler
class LookHandler(QueryHandler[Look, str]):
    async def do_handle(self, query: Look) -> str:
        return query.sku


BUY = HandlerLine(
    "command",
    "shop.Buy",
    ("shop.Purchase",),
    "BuyHandler",
    "shop.events",
    "sku",
    "Buy one thing.",
    ("money", "write"),
)
LOOK = HandlerLine("query", "Look", (), "LookHandler", None, None, "", ())


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a module of these handlers that can be scanned by name."""
    module = ModuleType("shop_of_this_test")
    for cls in (LookHandler, BuyHandler, Buy):
        monkeypatch.setattr(cls, "__module__", module.__name__)
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_handlers_are_told_from_their_classes(shop: str) -> None:
    assert handlers_of([shop]) == (BUY, LOOK)


def test_the_order_service_tells_its_own() -> None:
    lines = handlers_of(["service.application"])

    assert [line.name for line in lines] == [
        "orders.AddItem",
        "orders.CancelOrder",
        "orders.CreateOrder",
        "GetOrder",
        "ListOrders",
    ]
    assert {(line.destination, line.key) for line in lines[:3]} == {("orders.events", "order_id")}


@pytest.mark.parametrize("name", ["shop.Buy", "shop.Purchase"])
def test_a_command_is_found_by_name_and_alias(name: str) -> None:
    assert command_of([LOOK, BUY], name) == BUY


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Buy", "did you mean shop.Buy?"),
        ("shop.buy", "did you mean shop.Buy?"),
        ("shp.Buyy", "did you mean shop.Buy?"),
        ("Look", "it handles shop.Buy."),
        ("Unrelated", "it handles shop.Buy."),
    ],
)
def test_an_unknown_command_names_the_near_ones(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationException) as raised:
        command_of([LOOK, BUY], name)

    assert raised.value.problems == (f"This service handles no command {name!r}; {hint}",)


def test_a_listing_shows_what_each_is_for() -> None:
    assert rendered(handlers_list([BUY, LOOK])).splitlines() == [
        "command shop.Buy (also shop.Purchase)",
        "        Buy one thing.",
        "        BuyHandler; its events go to shop.events",
        "        tags: money, write",
        "query   Look",
        "        LookHandler",
    ]
