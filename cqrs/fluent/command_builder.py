"""Build a command step by step, and send it."""

from typing import Protocol, Self, TypeVar

from cqrs.fluent.message_builder import MessageBuilder
from cqrs.types import Command

C = TypeVar("C", bound=Command[object])
C_co = TypeVar("C_co", bound=Command[object], covariant=True)
R = TypeVar("R")


class CommandSender(Protocol):
    """Send commands; every command bus does."""

    async def send(self, command: Command[R]) -> R:
        """Carry out `command` and return its result."""
        ...


class CommandBuilder(MessageBuilder[C_co]):
    """Build a command of one type; start with `CommandBuilder.create(CreateOrder)`."""

    @staticmethod
    def create(command_type: type[C]) -> "CommandBuilder[C]":
        """Return a builder for commands of `command_type`."""
        return CommandBuilder(command_type)

    def __init__(self, command_type: type[C_co]) -> None:
        super().__init__(command_type)
        self._initiated_by: str | None = None

    def initiated_by(self, user_id: str) -> Self:
        """Set who initiates the command."""
        self._initiated_by = user_id
        return self

    def build(self) -> C_co:
        """Return a new command.

        Raises:
            TypeError: a field that the command needs is not set.
            ValueError: the time given to `at` has no timezone, or the command's own constructor refuses a field.
        """
        command = super().build()
        if self._initiated_by is not None:
            command.set_initiated_by(self._initiated_by)
        return command

    async def execute_with(self: "CommandBuilder[Command[R]]", bus: CommandSender) -> R:
        """Build the command, send it and return its result.

        Raises:
            CommandProcessingException: as the bus raises it.
        """
        return await bus.send(self.build())
