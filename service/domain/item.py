"""One line of an order."""

from dataclasses import dataclass, replace
from decimal import Decimal

from service.domain.rules import CENT


@dataclass(frozen=True, slots=True)
class OrderItem:
    """Be a number of pieces of one article, at one price.

    Attributes:
        sku: The article.
        quantity: Pieces, more than 0.
        unit_price: Price of one piece in the order's currency, 0 or more, with at most two decimals.
    """

    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def total(self) -> Decimal:
        """Return what the pieces cost together."""
        return self.quantity * self.unit_price

    def in_cents(self) -> "OrderItem":
        """Return the same item with a price of exactly two decimals, as schemas and databases keep it."""
        return replace(self, unit_price=abs(self.unit_price.quantize(CENT)))
