"""What a validation says: errors, their severity, and the result that carries them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class ValidationSeverity(StrEnum):
    """Say how bad a finding is: a WARNING is reported and passes, an ERROR or a CRITICAL one fails the message."""

    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True)
class ValidationError:
    """Describe one finding.

    Attributes:
        field_name: The field it is about; nested fields are joined by dots.
        message: What is wrong, for a person.
        error_code: What is wrong, for a program.
        severity: Whether it fails the message.
        rejected_value: The value that was found.
    """

    field_name: str
    message: str
    error_code: str = "VALIDATION_ERROR"
    severity: ValidationSeverity = ValidationSeverity.ERROR
    rejected_value: object = None


@dataclass(frozen=True)
class ValidationResult:
    """Say whether a message is valid, and why not.

    An error that is not a warning makes the result invalid, whatever `valid` was given as.

    Attributes:
        valid: Whether the message may go on.
        errors: Every finding, warnings included.
        summary: The findings in one line; None when there are none.
    """

    valid: bool
    errors: tuple[ValidationError, ...] = ()
    summary: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", tuple(self.errors))
        if any(error.severity is not ValidationSeverity.WARNING for error in self.errors):
            object.__setattr__(self, "valid", False)
        if self.summary is None and self.errors:
            object.__setattr__(self, "summary", "; ".join(self.error_messages()))

    @staticmethod
    def success() -> "ValidationResult":
        """Return the result of a message without findings."""
        return _SUCCESS

    @staticmethod
    def failure(
        field_name: str,
        message: str,
        *,
        error_code: str = "VALIDATION_ERROR",
        severity: ValidationSeverity = ValidationSeverity.ERROR,
        rejected_value: object = None,
    ) -> "ValidationResult":
        """Return a result with one finding; it is invalid unless `severity` is WARNING."""
        return ValidationResult.from_errors(
            [ValidationError(field_name, message, error_code, severity, rejected_value)]
        )

    @staticmethod
    def from_errors(errors: Iterable[ValidationError]) -> "ValidationResult":
        """Return a result with these findings; it is valid when there are none but warnings."""
        return ValidationResult(valid=True, errors=tuple(errors))

    def combine(self, other: "ValidationResult") -> "ValidationResult":
        """Return both results as one: valid when both are, with the findings of both in order."""
        if self is _SUCCESS or other is _SUCCESS:  # nothing to add: what nearly every message meets
            return other if self is _SUCCESS else self
        return ValidationResult(self.valid and other.valid, self.errors + other.errors)

    def error_messages(self) -> list[str]:
        """Return every finding as `field: message`."""
        return [f"{error.field_name}: {error.message}" for error in self.errors]


_SUCCESS = ValidationResult(valid=True)
