"""What a service handles, told from its handler classes; nothing is started for it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cqrs.command.lifecycle import MessageHandler
from cqrs.command.message_types import message_class
from cqrs.decorators import HandlerKind, handler_kind, handler_options
from cqrs.event.decorators import event_route
from cqrs.event.publisher import DEFAULT_DESTINATION
from cqrs.exceptions import ConfigurationException
from cqrs.scanning import scan
from cqrs.types import Command, Query, declared_aliases, message_name

COMMAND = "command"
QUERY = "query"


@dataclass(frozen=True, slots=True)
class HandlerLine:
    """Describe one handler.

    Attributes:
        kind: `command` or `query`.
        name: The wire name of its messages, or their class's name.
        aliases: Earlier wire names.
        handler: Its class's name.
        destination: Where its events go; None for a query.
        key: The field that is the key of its command and of its events, or None.
        description: What its decorator says.
        tags: The words its decorator gives.
    """

    kind: str
    name: str
    aliases: tuple[str, ...]
    handler: str
    destination: str | None
    key: str | None
    description: str
    tags: tuple[str, ...]


def handlers_of(packages: Iterable[str]) -> tuple[HandlerLine, ...]:
    """Return every handler in `packages`, commands first, by the names of their messages.

    Raises:
        ConfigurationException: a module cannot be imported, or a handler does not tell what it handles.
    """
    found = [_line(cls) for cls in scan(packages, lambda cls: handler_kind(cls) is not None)]
    return tuple(sorted(found, key=lambda line: (line.kind, line.name)))


def command_of(handlers: Sequence[HandlerLine], name: str) -> HandlerLine:
    """Return the handler of the command `name`, its aliases counted.

    Raises:
        ConfigurationException: there is none; names the nearest ones.
    """
    commands = [line for line in handlers if line.kind == COMMAND]
    for line in commands:
        if name in (line.name, *line.aliases):
            return line
    known = [line.name for line in commands]
    endings = {each.rpartition(".")[2].lower(): each for each in known}
    near = difflib.get_close_matches(name.rpartition(".")[2].lower(), endings, n=1)
    hint = f"did you mean {endings[near[0]]}?" if near else f"it handles {', '.join(known) or 'none'}."
    raise ConfigurationException([f"This service handles no command {name!r}; {hint}"])


def _line(cls: type) -> HandlerLine:
    is_command = handler_kind(cls) is HandlerKind.COMMAND
    message = message_class(cls, MessageHandler, Command if is_command else Query)
    route, options = event_route(cls), handler_options(cls)
    return HandlerLine(
        kind=COMMAND if is_command else QUERY,
        name=message_name(message),
        aliases=declared_aliases(message),
        handler=cls.__qualname__,
        destination=(route.destination or DEFAULT_DESTINATION) if is_command else None,
        key=route.key if is_command else None,
        description=options.description,
        tags=options.tags,
    )
