"""What a query bus raises: each refusal is both its specific type and a QueryProcessingException."""

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.exceptions import CommandProcessingException, QueryProcessingException, message_of
from cqrs.types import message_name
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult


class QueryValidationException(QueryProcessingException, CqrsValidationException):
    """Report a query that is not valid.

    Attributes:
        result: The findings.
        cause: The plain CqrsValidationException.
        query_type: The class of the query.
    """

    result: ValidationResult

    def __init__(self, query_type: type, cause: CqrsValidationException) -> None:
        message = f"{message_name(query_type)} is not valid: {cause}"
        QueryProcessingException.__init__(self, message, query_type=query_type, cause=cause)
        self.result = cause.result


class QueryAuthorizationException(QueryProcessingException, AuthorizationException):
    """Report a query that is not authorized.

    Attributes:
        result: The findings.
        cause: The plain AuthorizationException.
        query_type: The class of the query.
    """

    result: AuthorizationResult

    def __init__(self, query_type: type, cause: AuthorizationException) -> None:
        message = f"{message_name(query_type)} is not authorized: {cause}"
        QueryProcessingException.__init__(self, message, query_type=query_type, cause=cause)
        self.result = cause.result


def query_failure(query_type: type, error: Exception) -> QueryProcessingException:
    """Return what the bus raises instead of `error`, which stays its cause.

    The refusal of another message, sent from inside the handler, is a plain failure of this one.
    """
    if not isinstance(error, CommandProcessingException | QueryProcessingException):
        if isinstance(error, CqrsValidationException):
            return QueryValidationException(query_type, error)
        if isinstance(error, AuthorizationException):
            return QueryAuthorizationException(query_type, error)
    message = f"{message_name(query_type)} failed: {type(error).__name__}: {message_of(error)}"
    return QueryProcessingException(message, query_type=query_type, cause=error)
