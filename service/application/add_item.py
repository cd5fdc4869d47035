"""Add an item to an order."""

from dataclasses import dataclass

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.types import Command, message_type
from cqrs.validation.types import ValidationResult
from service.application.findings import findings
from service.application.order_view import view_key
from service.application.orders import Orders
from service.domain.item import OrderItem
from service.domain.rules import item_problems, order_id_problems


@message_type("orders.AddItem")
@dataclass(frozen=True)
class AddItem(Command[int]):
    """Ask for one more item in an order; the answer is the order's new version.

    Attributes:
        order_id: The order.
        item: What to add.
    """

    order_id: str
    item: OrderItem

    async def validate(self) -> ValidationResult:
        """Check every field."""
        return findings([*order_id_problems(self.order_id), *item_problems("item", self.item)])

    def get_cache_key(self) -> str:
        """Name the answer that this makes stale, at once in the replica that handles it."""
        return view_key(self.order_id)


@publish_domain_event("orders.events", message_format="avro", key="order_id")
@command_handler(description="Add an item to an order.")
@service
class AddItemHandler(CommandHandler[AddItem, int]):
    """Keep the changed order and publish ItemAdded."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, command: AddItem) -> int:
        """Add the item.

        Raises:
            OrderNotFoundException: there is no such order.
            OrderAlreadyCancelledException: it takes no change.
            OrderTotalTooLargeException: the sum would not fit 14 digits.
            OrderChangedException: another command changed the order meanwhile; worth a retry.
        """
        before = await self._orders.get(command.order_id)
        after, added = before.add(command.item, command.get_timestamp())
        await self._orders.replace(before, after)
        emit(added)
        return after.version
