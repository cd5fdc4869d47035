"""Base classes of the handlers of commands."""

from typing import TypeVar, cast

from cqrs.command.lifecycle import ContextAwareHandler, MessageHandler
from cqrs.command.message_types import message_class
from cqrs.types import Command

C = TypeVar("C", bound=Command[object])
R = TypeVar("R")


class CommandHandler(MessageHandler[C, R]):
    """Handle one type of command: subclass it as `CommandHandler[MyCommand, ItsResult]` and override `do_handle`."""

    def get_command_type(self) -> type[C]:
        """Return the class of the commands this handles, told from its type arguments or `do_handle`'s annotation.

        Raises:
            ConfigurationException: it cannot be told.
        """
        return cast("type[C]", message_class(self, MessageHandler, Command))


class ContextAwareCommandHandler(ContextAwareHandler[C, R], CommandHandler[C, R]):
    """Handle one type of command for a user: override `do_handle_with_context`.

    Such commands are sent by `bus.send_with_context(command, context)`.
    """
