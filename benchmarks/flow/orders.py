"""The command and the event of our own contestants."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.flow.job import COMMAND, EVENT
from cqrs.authorization.types import AuthorizationResult
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


@message_type(COMMAND)
@dataclass(frozen=True)
class Note(Command[str]):
    """Be the same command without rules of its own, for loops that have none either."""

    order_id: str
    customer: str
    amount: int
