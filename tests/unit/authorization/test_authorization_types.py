import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationError, AuthorizationResult, AuthorizationSeverity
from cqrs.exceptions import CqrsException

ERRORS = st.lists(
    st.builds(AuthorizationError, st.text(), st.text(), severity=st.sampled_from(AuthorizationSeverity)), max_size=4
)


def test_failure_holds_one_finding() -> None:
    result = AuthorizationResult.failure("order", "Only admins", denied_action="delete")
    assert not result.authorized
    assert result.errors == (
        AuthorizationError("order", "Only admins", "AUTHORIZATION_ERROR", AuthorizationSeverity.ERROR, "delete"),
    )
    assert result.error_messages() == ["order: Only admins"]
    assert result.summary == "order: Only admins"
    assert AuthorizationResult.success().summary is None


@given(ERRORS, ERRORS)
def test_combining_keeps_every_finding_and_the_worst_verdict(
    left: list[AuthorizationError], right: list[AuthorizationError]
) -> None:
    both = AuthorizationResult.from_errors(left).combine(AuthorizationResult(authorized=True, errors=tuple(right)))
    assert both.errors == (*left, *right)
    assert both.authorized is all(error.severity is AuthorizationSeverity.WARNING for error in (*left, *right))


def test_a_verdict_without_findings_survives_combining() -> None:
    assert AuthorizationResult.success().authorized
    assert not AuthorizationResult(authorized=False).combine(AuthorizationResult.success()).authorized


@pytest.mark.parametrize(
    ("result", "message", "expected"),
    [
        (AuthorizationResult.failure("a", "b"), None, "a: b"),
        (AuthorizationResult.failure("a", "b"), "told", "told"),
        (AuthorizationResult(authorized=False), None, "Authorization denied"),
    ],
)
def test_the_exception_says_the_findings(result: AuthorizationResult, message: str | None, expected: str) -> None:
    error = AuthorizationException(result, message)
    assert str(error) == expected
    assert error.result is result
    assert isinstance(error, CqrsException)
