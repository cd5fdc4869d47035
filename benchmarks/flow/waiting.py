"""The handler that waits, as for a database or another service."""

import asyncio

from benchmarks.flow.job import STAGE
from benchmarks.flow.orders import Note
from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler


@command_handler
@service
class WaitHandler(CommandHandler[Note, str]):
    """Wait as long as the contestant says."""

    async def do_handle(self, command: Note) -> str:
        """Return the order's id."""
        await asyncio.sleep(STAGE.pause_seconds)
        STAGE.clock.count()
        return command.order_id
