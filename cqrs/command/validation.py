"""Refuse messages that are not valid, before anything is done for them."""

from collections.abc import Callable, Coroutine

from pydantic import BaseModel

from cqrs.context.execution_context import ExecutionContext
from cqrs.types import overrides_hook
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.processor import AutoValidationProcessor
from cqrs.validation.types import ValidationResult


class CommandValidationService:
    """Validate commands and queries: pydantic structure first, then their own `validate()`.

    Args:
        processor: What validates; None takes the default.
    """

    def __init__(self, processor: AutoValidationProcessor | None = None) -> None:
        self._processor = processor or AutoValidationProcessor()

    async def validate_command(self, command: object) -> ValidationResult:
        """Return the findings of a valid command, which may be warnings.

        Raises:
            CqrsValidationException: it is not valid; `result` holds every finding.
        """
        return _accepted(await self._processor.validate(command))

    async def validate_query(self, query: object) -> ValidationResult:
        """Return the findings of a valid query, which may be warnings.

        Raises:
            CqrsValidationException: it is not valid; `result` holds every finding.
        """
        return _accepted(await self._processor.validate(query))

    def validate_sync(self, message: object) -> ValidationResult:
        """Return the findings of the structural validation alone, without raising."""
        return self._processor.validate_sync(message)

    def validator_of(
        self, message_type: type
    ) -> Callable[[object, ExecutionContext | None], Coroutine[object, object, ValidationResult]]:
        """Return what does for messages of exactly this class as `validate_command` does, with less on the way."""
        processor = self._processor
        own = type(processor) is AutoValidationProcessor and not vars(processor)
        validate = processor.validator_of(message_type) if own else processor.validate

        async def check(message: object, _context: ExecutionContext | None) -> ValidationResult:
            return _accepted(await validate(message))

        return check

    def accepts_all(self, message_type: type) -> bool:
        """Return whether no message of this class can be refused, so that a bus may leave the step out."""
        ours = type(self) is CommandValidationService and type(self._processor) is AutoValidationProcessor
        return ours and not issubclass(message_type, BaseModel) and not overrides_hook(message_type, "validate")


def _accepted(result: ValidationResult) -> ValidationResult:
    if not result.valid:
        raise CqrsValidationException(result)
    return result
