"""The domain's findings, as the bus speaks of them."""

from collections.abc import Iterable

from cqrs.validation.types import ValidationError, ValidationResult
from service.domain.rules import Problem


def findings(problems: Iterable[Problem]) -> ValidationResult:
    """Turn what the rules say into the result of a validation, all of it at once."""
    return ValidationResult.from_errors([ValidationError(path, problem) for path, problem in problems])
