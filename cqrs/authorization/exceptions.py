"""The refusal of a message whose sender may not send it."""

from cqrs.authorization.types import AuthorizationResult
from cqrs.exceptions import CqrsException


class AuthorizationException(CqrsException):
    """Report that a command or a query is not authorized.

    Args:
        result: The findings.
        message: What to say instead of the findings in one line.

    Attributes:
        result: The findings.
    """

    def __init__(self, result: AuthorizationResult, message: str | None = None) -> None:
        super().__init__(message or result.summary or "Authorization denied")
        self.result = result
