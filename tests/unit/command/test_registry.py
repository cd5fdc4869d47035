"""Handlers are found by message type; what cannot be registered is an error that says what to try."""

from dataclasses import dataclass

import pytest

from cqrs.command.handler import CommandHandler
from cqrs.command.registry import HandlerRegistry
from cqrs.decorators import command_handler, query_handler
from cqrs.exceptions import CommandHandlerNotFoundException, ConfigurationException, QueryHandlerNotFoundException
from cqrs.query.handler import QueryHandler
from cqrs.types import Command, Query


@dataclass(frozen=True)
class Create(Command[str]):
    x: int = 1


@dataclass(frozen=True)
class Cancel(Command[bool]):
    x: int = 1


@dataclass(frozen=True)
class Find(Query[str]):
    x: int = 1


@command_handler(tags=("orders",), description="Creates orders")
class CreateHandler(CommandHandler[Create, str]):
    async def do_handle(self, command: Create) -> str:
        return "created"


@command_handler
class CancelHandler(CommandHandler[Cancel, bool]):
    async def do_handle(self, command: Cancel) -> bool:
        return True


@query_handler
class FindHandler(QueryHandler[Find, str]):
    async def do_handle(self, query: Find) -> str:
        return "found"


@command_handler(priority=-1)
class FasterHandler(CreateHandler):
    pass


@command_handler
class Untyped(CommandHandler):  # type: ignore[type-arg]
    async def do_handle(self, command):  # type: ignore[no-untyped-def]
        return ""


def test_handlers_are_found_by_their_message_type() -> None:
    registry = HandlerRegistry()
    create, find = CreateHandler(), FindHandler()
    registry.register_command_handler(create)
    registry.register_query_handler(find)

    assert registry.find_command_handler(Create) is create
    assert registry.find_query_handler(Find) is find
    assert registry.has_command_handler(Create)
    assert registry.has_query_handler(Find)
    assert not registry.has_command_handler(Cancel)
    assert registry.get_registered_command_types() == {Create}
    assert registry.get_registered_query_types() == {Find}
    assert (registry.command_handler_count, registry.query_handler_count) == (1, 1)


def test_a_missing_handler_is_an_error_that_names_the_type() -> None:
    with pytest.raises(CommandHandlerNotFoundException, match="Create") as missing:
        HandlerRegistry().find_command_handler(Create)
    assert missing.value.command_type is Create
    with pytest.raises(QueryHandlerNotFoundException, match="Find"):
        HandlerRegistry().find_query_handler(Find)


def test_a_subclass_of_a_command_needs_a_handler_of_its_own() -> None:
    class Wider(Create):
        pass

    registry = HandlerRegistry()
    registry.register_command_handler(CreateHandler())
    assert not registry.has_command_handler(Wider)


def test_unregistering_says_whether_there_was_one() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(CreateHandler())
    registry.register_query_handler(FindHandler())

    assert registry.unregister_command_handler(Create) is True
    assert registry.unregister_command_handler(Create) is False
    assert registry.unregister_query_handler(Find) is True
    assert registry.unregister_query_handler(Find) is False
    assert registry.command_handler_count == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_lower_priority_wins_whatever_the_order_of_registration(order: tuple[int, int]) -> None:
    handlers = [CreateHandler(), FasterHandler()]
    registry = HandlerRegistry()
    for place in order:
        registry.register_command_handler(handlers[place])

    assert registry.find_command_handler(Create) is handlers[1]
    assert registry.command_handler_count == 1
    assert {(type(each.handler), each.in_effect) for each in registry.command_registrations()} == {
        (CreateHandler, False),
        (FasterHandler, True),
    }


def test_equal_priorities_are_an_error_that_names_both() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(CreateHandler())
    with pytest.raises(ConfigurationException, match=r"CreateHandler and .*CreateHandler both handle command Create"):
        registry.register_command_handler(CreateHandler())
    assert len(registry.command_registrations()) == 1


def test_the_same_handler_twice_is_registered_once() -> None:
    registry = HandlerRegistry()
    handler = CreateHandler()
    registry.register_command_handler(handler)
    registry.register_command_handler(handler)
    assert len(registry.command_registrations()) == 1


def test_beans_with_a_marker_are_registered_and_others_left_alone() -> None:
    class Unmarked(CommandHandler[Create, str]):
        async def do_handle(self, command: Create) -> str:
            return ""

    class Below(CancelHandler):
        """Inherits a mark, and is not marked itself."""

    registry = HandlerRegistry()
    registry.discover_from_beans([CreateHandler(), object(), Unmarked(), FindHandler(), Below(), CancelHandler()])
    assert registry.get_registered_command_types() == {Create, Cancel}
    assert registry.get_registered_query_types() == {Find}


def test_beans_may_come_by_name() -> None:
    registry = HandlerRegistry()
    registry.discover_from_beans({"create": CreateHandler()})
    assert registry.has_command_handler(Create)


def test_every_bean_that_cannot_be_registered_is_named_at_once() -> None:
    @query_handler
    class WrongMark(CommandHandler[Create, str]):
        async def do_handle(self, command: Create) -> str:
            return ""

    @command_handler
    class NoHandler:
        pass

    registry = HandlerRegistry()
    with pytest.raises(ConfigurationException) as refused:
        registry.discover_from_beans(
            [Untyped(), CreateHandler(), CreateHandler(), WrongMark(), NoHandler(), CancelHandler()]
        )

    told = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 4
    for part in (
        "Untyped does not tell",
        "both handle",
        "WrongMark is no QueryHandler",
        "NoHandler is no CommandHandler",
    ):
        assert part in told
    assert registry.has_command_handler(Cancel)


def test_a_handler_with_the_mark_of_the_other_kind_is_refused() -> None:
    @query_handler
    class WrongMark(CommandHandler[Create, str]):
        async def do_handle(self, command: Create) -> str:
            return ""

    with pytest.raises(ConfigurationException, match="mark it with @command_handler"):
        HandlerRegistry().register_command_handler(WrongMark())


def test_a_class_instead_of_an_instance_is_refused() -> None:
    with pytest.raises(ConfigurationException, match="is a class; register an instance"):
        HandlerRegistry().register_command_handler(CreateHandler)  # type: ignore[arg-type]


def test_listings_hold_what_the_decorators_say() -> None:
    registry = HandlerRegistry()
    registry.register_command_handler(CreateHandler())
    registry.register_query_handler(FindHandler())

    (command,), (query,) = registry.command_registrations(), registry.query_registrations()
    assert (command.message_type, command.options.tags) == (Create, ("orders",))
    assert command.options.description == "Creates orders"
    assert (query.message_type, query.in_effect) == (Find, True)


def test_listeners_hear_of_every_change() -> None:
    registry = HandlerRegistry()
    heard: list[str] = []
    registry.on_change(lambda: heard.append("changed"))
    registry.register_command_handler(CreateHandler())
    registry.register_query_handler(FindHandler())
    registry.unregister_command_handler(Create)
    assert len(heard) == 3
