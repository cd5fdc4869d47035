"""Place an order."""

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
from service.domain.order import Order
from service.domain.rules import new_order_problems


@message_type("orders.CreateOrder")
@dataclass(frozen=True)
class CreateOrder(Command[str]):
    """Ask for a new order; the answer is its id.

    Attributes:
        order_id: Chosen by the sender; unique.
        customer_id: Whose order it is.
        items: One at least.
        currency: Of every price in it: three capital letters.
    """

    order_id: str
    customer_id: str
    items: tuple[OrderItem, ...]
    currency: str

    async def validate(self) -> ValidationResult:
        """Check every field."""
        return findings(new_order_problems(self.order_id, self.customer_id, self.items, self.currency))

    def get_cache_key(self) -> str:
        """Name the answer that this makes stale, at once in the replica that handles it."""
        return view_key(self.order_id)


@publish_domain_event("orders.events", message_format="avro", key="order_id")
@command_handler(description="Place an order.")
@service
class CreateOrderHandler(CommandHandler[CreateOrder, str]):
    """Keep the new order and publish OrderCreated."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, command: CreateOrder) -> str:
        """Place the order at the command's own time, so that a redelivered command makes the same event.

        Raises:
            OrderExistsException: its id is taken.
            OrderTotalTooLargeException: the sum does not fit 14 digits.
        """
        order, created = Order.create(
            command.order_id, command.customer_id, command.items, command.currency, command.get_timestamp()
        )
        await self._orders.add(order)
        emit(created)
        return order.order_id
