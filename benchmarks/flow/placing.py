"""The handler that emits the event."""

from benchmarks.flow.job import EVENTS, STAGE
from benchmarks.flow.orders import Place, Placed
from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit


@publish_domain_event(EVENTS, message_format="avro", key="order_id")
@command_handler
@service
class PlaceHandler(CommandHandler[Place, str]):
    """Emit the event."""

    async def do_handle(self, command: Place) -> str:
        """Return the order's id."""
        emit(Placed(command.order_id, command.customer, command.amount))
        STAGE.clock.count()
        return command.order_id
