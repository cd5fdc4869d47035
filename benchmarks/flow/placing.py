"""The handler of our own contestants: it emits the event."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.flow.job import COMMAND, EVENT, EVENTS, STAGE
from cqrs.authorization.types import AuthorizationResult
from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.event.decorators import publish_domain_event
from cqrs.event.emission import emit
from cqrs.types import Command, message_type
from cqrs.validation.types import ValidationResult


@dataclass(frozen=True)
class Placed:
    """Say that an order was placed."""

    event_type: ClassVar[str] = EVENT

    order_id: str
    customer: str
    amount: int


@message_type(COMMAND)
@dataclass(frozen=True)
class Place(Command[str]):
    """Ask for an order."""

    order_id: str
    customer: str
    amount: int

    async def validate(self) -> ValidationResult:
        """Refuse a command without an order or a customer, or with an amount below 0."""
        if self.order_id and self.customer and self.amount >= 0:
            return ValidationResult.success()
        return ValidationResult.failure("order", "lacks an id or a customer, or has an amount below 0")

    async def authorize(self) -> AuthorizationResult:
        """Refuse whoever is no customer."""
        if self.customer.startswith("customer-"):
            return AuthorizationResult.success()
        return AuthorizationResult.failure("order", "is asked for by somebody who is no customer")


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
