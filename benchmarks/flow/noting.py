"""The handler that does nothing: what is left is the delivery."""

from benchmarks.flow.job import STAGE
from benchmarks.flow.orders import Note
from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler


@command_handler
@service
class NoteHandler(CommandHandler[Note, str]):
    """Count."""

    async def do_handle(self, command: Note) -> str:
        """Return the order's id."""
        STAGE.clock.count()
        return command.order_id
