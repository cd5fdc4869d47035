"""Which handler takes which message: one registry for both buses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from cqrs.command.handler import CommandHandler
from cqrs.command.query_handler import QueryHandler
from cqrs.decorators import HandlerKind, HandlerOptions, handler_kind, handler_options
from cqrs.exceptions import CommandHandlerNotFoundException, ConfigurationException, QueryHandlerNotFoundException
from cqrs.types import Command, Query

C = TypeVar("C", bound=Command[object])
Q = TypeVar("Q", bound=Query[object])
R = TypeVar("R")
H = TypeVar("H")

AnyCommandHandler = CommandHandler[Command[object], object]
AnyQueryHandler = QueryHandler[Query[object], object]


@dataclass(frozen=True, slots=True)
class Registration(Generic[H]):
    """Describe one registered handler, for listings.

    Attributes:
        message_type: The class of its messages.
        handler: The handler.
        options: What its decorator says.
        in_effect: Whether it is the one that is called: no other handler of the type has a lower priority.
    """

    message_type: type
    handler: H
    options: HandlerOptions
    in_effect: bool


class HandlerRegistry:
    """Store handlers by message type; of several for one type, the one with the lowest priority is called."""

    def __init__(self) -> None:
        self._commands: _Shelf[AnyCommandHandler] = _Shelf("command")
        self._queries: _Shelf[AnyQueryHandler] = _Shelf("query")

    def register_command_handler(self, handler: CommandHandler[C, R]) -> None:
        """Register a handler for the command type that its class tells; the same handler again changes nothing.

        Raises:
            ConfigurationException: the type cannot be told, or another handler of it has the same priority.
        """
        _require(handler, CommandHandler, HandlerKind.COMMAND)
        self._commands.add(handler.get_command_type(), cast("AnyCommandHandler", handler))

    def register_query_handler(self, handler: QueryHandler[Q, R]) -> None:
        """Register a handler for the query type that its class tells; the same handler again changes nothing.

        Raises:
            ConfigurationException: the type cannot be told, or another handler of it has the same priority.
        """
        _require(handler, QueryHandler, HandlerKind.QUERY)
        self._queries.add(handler.get_query_type(), cast("AnyQueryHandler", handler))

    def unregister_command_handler(self, command_type: type[Command[R]]) -> bool:
        """Remove every handler of a command type, and return whether there was one."""
        return self._commands.remove(command_type)

    def unregister_query_handler(self, query_type: type[Query[R]]) -> bool:
        """Remove every handler of a query type, and return whether there was one."""
        return self._queries.remove(query_type)

    def find_command_handler(self, command_type: type[Command[R]]) -> CommandHandler[Command[R], R]:
        """Return the handler of a command type.

        Raises:
            CommandHandlerNotFoundException: there is none.
        """
        found = self._commands.find(command_type)
        if found is None:
            raise CommandHandlerNotFoundException(command_type)
        return cast("CommandHandler[Command[R], R]", found)

    def find_query_handler(self, query_type: type[Query[R]]) -> QueryHandler[Query[R], R]:
        """Return the handler of a query type.

        Raises:
            QueryHandlerNotFoundException: there is none.
        """
        found = self._queries.find(query_type)
        if found is None:
            raise QueryHandlerNotFoundException(query_type)
        return cast("QueryHandler[Query[R], R]", found)

    def has_command_handler(self, command_type: type[Command[R]]) -> bool:
        """Return whether a command type has a handler."""
        return self._commands.find(command_type) is not None

    def has_query_handler(self, query_type: type[Query[R]]) -> bool:
        """Return whether a query type has a handler."""
        return self._queries.find(query_type) is not None

    def get_registered_command_types(self) -> set[type[Command[object]]]:
        """Return the command types that have a handler."""
        return self._commands.types()

    def get_registered_query_types(self) -> set[type[Query[object]]]:
        """Return the query types that have a handler."""
        return self._queries.types()

    @property
    def command_handler_count(self) -> int:
        """Return how many command types have a handler."""
        return len(self._commands.types())

    @property
    def query_handler_count(self) -> int:
        """Return how many query types have a handler."""
        return len(self._queries.types())

    def command_registrations(self) -> list[Registration[AnyCommandHandler]]:
        """Return every registered command handler with its options, those that lose by priority included."""
        return self._commands.listing()

    def query_registrations(self) -> list[Registration[AnyQueryHandler]]:
        """Return every registered query handler with its options, those that lose by priority included."""
        return self._queries.listing()

    def discover_from_beans(self, beans: Iterable[object] | Mapping[str, object]) -> None:
        """Register every object whose class is itself marked with @command_handler or @query_handler.

        Raises:
            ConfigurationException: some cannot be registered; names all of them. The others are registered.
        """
        problems: list[str] = []
        for bean in beans.values() if isinstance(beans, Mapping) else beans:
            try:
                self._register_marked(bean)
            except ConfigurationException as refused:
                problems.extend(refused.problems)
        if problems:
            raise ConfigurationException(problems)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a handler is added or removed; a bus forgets its compiled pipelines then."""
        self._commands.listeners.append(listener)
        self._queries.listeners.append(listener)

    def _register_marked(self, bean: object) -> None:
        kind = handler_kind(type(bean))
        if kind is HandlerKind.COMMAND:
            self.register_command_handler(cast("AnyCommandHandler", bean))
        elif kind is HandlerKind.QUERY:
            self.register_query_handler(cast("AnyQueryHandler", bean))


class _Shelf(Generic[H]):
    """Hold the handlers of one kind, the winning one first."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._handlers: dict[type, list[H]] = {}
        self.listeners: list[Callable[[], None]] = []

    def add(self, message_type: type, handler: H) -> None:
        known = self._handlers.setdefault(message_type, [])
        if any(each is handler for each in known):
            return
        for other in known:
            if _priority(other) == _priority(handler):
                raise ConfigurationException([self._clash(message_type, other, handler)])
        known.append(handler)
        known.sort(key=_priority)
        self._changed()

    def remove(self, message_type: type) -> bool:
        removed = self._handlers.pop(message_type, None)
        self._changed()
        return removed is not None

    def find(self, message_type: type) -> H | None:
        known = self._handlers.get(message_type)
        return known[0] if known else None

    def types(self) -> set[type]:
        return set(self._handlers)

    def listing(self) -> list[Registration[H]]:
        return [
            Registration(message_type, handler, handler_options(handler), in_effect=place == 0)
            for message_type, known in self._handlers.items()
            for place, handler in enumerate(known)
        ]

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()

    def _clash(self, message_type: type, first: H, second: H) -> str:
        return (
            f"{_name(first)} and {_name(second)} both handle {self._noun} {message_type.__qualname__} with priority "
            f"{_priority(first)}; remove one, or give one a lower @{self._noun}_handler(priority=...) to win."
        )


def _require(handler: object, base: type, kind: HandlerKind) -> None:
    marked = handler_options(handler).kind
    if isinstance(handler, type):
        raise ConfigurationException([f"{handler.__qualname__} is a class; register an instance of it."])
    if not isinstance(handler, base):
        raise ConfigurationException([f"{_name(handler)} is no {base.__name__}; make it a subclass of it."])
    if marked not in (None, kind):
        raise ConfigurationException([f"{_name(handler)} is a {base.__name__}; mark it with @{kind.value}_handler."])


def _priority(handler: object) -> int:
    return handler_options(handler).priority


def _name(handler: object) -> str:
    return f"{type(handler).__module__}.{type(handler).__qualname__}"
