"""What an authorization decides: errors, their severity, and the result that carries them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class AuthorizationSeverity(StrEnum):
    """Say how bad a finding is: a WARNING is reported and passes, an ERROR or a CRITICAL one denies."""

    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True)
class AuthorizationError:
    """Describe one finding.

    Attributes:
        resource: What was asked for.
        message: Why it is not granted, for a person.
        error_code: Why it is not granted, for a program.
        severity: Whether it denies.
        denied_action: What the caller may not do with the resource.
    """

    resource: str
    message: str
    error_code: str = "AUTHORIZATION_ERROR"
    severity: AuthorizationSeverity = AuthorizationSeverity.ERROR
    denied_action: str | None = None


@dataclass(frozen=True)
class AuthorizationResult:
    """Say whether a message is authorized, and why not.

    An error that is not a warning denies, whatever `authorized` was given as.

    Attributes:
        authorized: Whether the message may go on.
        errors: Every finding, warnings included.
        summary: The findings in one line; None when there are none.
    """

    authorized: bool
    errors: tuple[AuthorizationError, ...] = ()
    summary: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", tuple(self.errors))
        if any(error.severity is not AuthorizationSeverity.WARNING for error in self.errors):
            object.__setattr__(self, "authorized", False)
        if self.summary is None and self.errors:
            object.__setattr__(self, "summary", "; ".join(self.error_messages()))

    @staticmethod
    def success() -> "AuthorizationResult":
        """Return the result that lets a message pass without findings."""
        return _SUCCESS

    @staticmethod
    def failure(
        resource: str,
        message: str,
        *,
        error_code: str = "AUTHORIZATION_ERROR",
        severity: AuthorizationSeverity = AuthorizationSeverity.ERROR,
        denied_action: str | None = None,
    ) -> "AuthorizationResult":
        """Return a result with one finding; it denies unless `severity` is WARNING."""
        return AuthorizationResult.from_errors(
            [AuthorizationError(resource, message, error_code, severity, denied_action)]
        )

    @staticmethod
    def from_errors(errors: Iterable[AuthorizationError]) -> "AuthorizationResult":
        """Return a result with these findings; it authorizes when there are none but warnings."""
        return AuthorizationResult(authorized=True, errors=tuple(errors))

    def combine(self, other: "AuthorizationResult") -> "AuthorizationResult":
        """Return both results as one: authorized when both are, with the findings of both in order."""
        return AuthorizationResult(self.authorized and other.authorized, self.errors + other.errors)

    def error_messages(self) -> list[str]:
        """Return every finding as `resource: message`."""
        return [f"{error.resource}: {error.message}" for error in self.errors]


_SUCCESS = AuthorizationResult(authorized=True)
