"""What the rules of an order forbid.

::

    OrderException
    ├── InvalidOrderException            a value that no order can have
    ├── OrderTotalTooLargeException      a sum beyond 999999999999.99
    ├── OrderExistsException             a second order with the same id
    ├── OrderNotFoundException           no order with that id
    ├── OrderAlreadyCancelledException   a change after cancellation
    └── NotOrderOwnerException           somebody else's order
"""

from collections.abc import Sequence


class OrderException(Exception):
    """Be the root of what the domain refuses; asking again changes nothing."""


class InvalidOrderException(OrderException):
    """Report values that no order can have, all at once.

    Attributes:
        problems: Pairs of the field's path, such as `items.0.quantity`, and what is wrong with it.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {problem}" for path, problem in problems))
        self.problems = tuple(problems)


class OrderTotalTooLargeException(OrderException):
    """Report an order that would cost more than its events can say."""

    def __init__(self, order_id: str, limit: object) -> None:
        super().__init__(f"Order {order_id} would cost more than {limit}, the largest total an order can have.")


class OrderExistsException(OrderException):
    """Report a second order with an id that is taken."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"Order {order_id} exists already; choose another order_id, or add to it by AddItem.")


class OrderNotFoundException(OrderException):
    """Report that there is no order with this id."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"There is no order {order_id}; create it first.")


class OrderAlreadyCancelledException(OrderException):
    """Report a change to an order that is cancelled."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"Order {order_id} is cancelled and takes no further change.")


class NotOrderOwnerException(OrderException):
    """Report that somebody other than the order's customer or the administrator asked for a change."""

    def __init__(self, order_id: str, requested_by: str) -> None:
        super().__init__(f"Order {order_id} belongs to another customer; {requested_by} may not cancel it.")
