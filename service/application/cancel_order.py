"""Cancel an order."""

from dataclasses import dataclass

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
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
from service.domain.errors import NotOrderOwnerException
from service.domain.rules import order_id_problems, reason_problems


@message_type("orders.CancelOrder")
@dataclass(frozen=True)
class CancelOrder(Command[int]):
    """Ask for an order to be cancelled; the answer is the order's new version.

    Attributes:
        order_id: The order.
        requested_by: The order's customer, or `admin`.
        reason: In the sender's words; may be empty.
    """

    order_id: str
    requested_by: str
    reason: str

    async def validate(self) -> ValidationResult:
        """Check every field but the requester, who is a matter of authorization."""
        return findings([*order_id_problems(self.order_id), *reason_problems(self.reason)])

    async def authorize(self) -> AuthorizationResult:
        """Deny a request in nobody's name; whose order it is, the handler knows once it has the order."""
        if self.requested_by.strip():
            return AuthorizationResult.success()
        return AuthorizationResult.failure("order", "requested_by is empty; only the order's customer or admin cancels")

    def get_cache_key(self) -> str:
        """Name the answer that this makes stale, at once in the replica that handles it."""
        return view_key(self.order_id)


@publish_domain_event("orders.events", message_format="avro", key="order_id")
@command_handler(description="Cancel an order.")
@service
class CancelOrderHandler(CommandHandler[CancelOrder, int]):
    """Keep the cancelled order and publish OrderCancelled."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def do_handle(self, command: CancelOrder) -> int:
        """Cancel the order.

        Raises:
            OrderNotFoundException: there is no such order.
            NotOrderOwnerException: somebody else asks; it leaves the handler as an AuthorizationException.
            OrderAlreadyCancelledException: it is cancelled.
            OrderChangedException: another command changed the order meanwhile; worth a retry.
        """
        before = await self._orders.get(command.order_id)
        after, cancelled = before.cancel(command.requested_by, command.reason, command.get_timestamp())
        await self._orders.replace(before, after)
        emit(cancelled)
        return after.version

    def map_error(self, command: CancelOrder, error: Exception) -> Exception:
        """Answer for the domain's refusal as the bus answers for its own."""
        if not isinstance(error, NotOrderOwnerException):
            return error
        return AuthorizationException(AuthorizationResult.failure("order", str(error), denied_action="cancel"))
