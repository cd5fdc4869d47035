import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.exceptions import CqrsException
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationError, ValidationResult, ValidationSeverity

ERRORS = st.lists(
    st.builds(ValidationError, st.text(), st.text(), severity=st.sampled_from(ValidationSeverity)), max_size=4
)


def test_success_has_no_findings() -> None:
    result = ValidationResult.success()
    assert result.valid
    assert result.errors == ()
    assert result.summary is None
    assert result.error_messages() == []


def test_failure_holds_one_finding() -> None:
    result = ValidationResult.failure("total", "Must be positive", rejected_value=-1)
    assert not result.valid
    assert result.errors == (
        ValidationError("total", "Must be positive", "VALIDATION_ERROR", ValidationSeverity.ERROR, -1),
    )
    assert result.error_messages() == ["total: Must be positive"]
    assert result.summary == "total: Must be positive"


@given(ERRORS)
def test_only_findings_that_are_no_warnings_make_a_result_invalid(errors: list[ValidationError]) -> None:
    expected = all(error.severity is ValidationSeverity.WARNING for error in errors)
    assert ValidationResult.from_errors(errors).valid is expected
    assert ValidationResult(valid=True, errors=tuple(errors)).valid is expected


@given(ERRORS, ERRORS)
def test_combining_keeps_every_finding_and_the_worst_verdict(
    left: list[ValidationError], right: list[ValidationError]
) -> None:
    first, second = ValidationResult.from_errors(left), ValidationResult.from_errors(right)
    both = first.combine(second)
    assert both.errors == (*left, *right)
    assert both.valid is (first.valid and second.valid)


def test_a_verdict_without_findings_survives_combining() -> None:
    assert not ValidationResult(valid=False).combine(ValidationResult.success()).valid
    assert not ValidationResult.success().combine(ValidationResult(valid=False)).valid


@pytest.mark.parametrize(
    ("result", "message", "expected"),
    [
        (ValidationResult.failure("a", "b"), None, "a: b"),
        (ValidationResult.failure("a", "b"), "told", "told"),
        (ValidationResult(valid=False), None, "Validation failed"),
    ],
)
def test_the_exception_says_the_findings(result: ValidationResult, message: str | None, expected: str) -> None:
    error = CqrsValidationException(result, message)
    assert str(error) == expected
    assert error.result is result
    assert isinstance(error, CqrsException)
    assert not error.retryable
