"""The refusal of a message that is not valid."""

from cqrs.exceptions import CqrsException
from cqrs.validation.types import ValidationResult


class CqrsValidationException(CqrsException):
    """Report that a command or a query is not valid.

    Args:
        result: The findings.
        message: What to say instead of the findings in one line.

    Attributes:
        result: The findings.
    """

    def __init__(self, result: ValidationResult, message: str | None = None) -> None:
        super().__init__(message or result.summary or "Validation failed")
        self.result = result
