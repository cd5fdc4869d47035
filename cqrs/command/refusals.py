"""What a command bus raises: each refusal is both its specific type and a CommandProcessingException."""

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.exceptions import CommandProcessingException, QueryProcessingException, message_of
from cqrs.types import message_name
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.types import ValidationResult


class CommandValidationException(CommandProcessingException, CqrsValidationException):
    """Report a command that is not valid.

    Attributes:
        result: The findings.
        cause: The plain CqrsValidationException.
        command_type: The class of the command.
    """

    result: ValidationResult

    def __init__(self, command_type: type, cause: CqrsValidationException) -> None:
        message = f"{message_name(command_type)} is not valid: {cause}"
        CommandProcessingException.__init__(self, message, command_type=command_type, cause=cause)
        self.result = cause.result


class CommandAuthorizationException(CommandProcessingException, AuthorizationException):
    """Report a command that is not authorized.

    Attributes:
        result: The findings.
        cause: The plain AuthorizationException.
        command_type: The class of the command.
    """

    result: AuthorizationResult

    def __init__(self, command_type: type, cause: AuthorizationException) -> None:
        message = f"{message_name(command_type)} is not authorized: {cause}"
        CommandProcessingException.__init__(self, message, command_type=command_type, cause=cause)
        self.result = cause.result


def command_failure(command_type: type, error: Exception) -> CommandProcessingException:
    """Return what the bus raises instead of `error`, which stays its cause.

    The refusal of another message, sent from inside the handler, is a plain failure of this one.
    """
    if not isinstance(error, CommandProcessingException | QueryProcessingException):
        if isinstance(error, CqrsValidationException):
            return CommandValidationException(command_type, error)
        if isinstance(error, AuthorizationException):
            return CommandAuthorizationException(command_type, error)
    message = f"{message_name(command_type)} failed: {type(error).__name__}: {message_of(error)}"
    return CommandProcessingException(message, command_type=command_type, cause=error)
