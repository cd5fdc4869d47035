"""The validation step: what passes, what is refused, and what can be left out."""

from dataclasses import dataclass

import pytest
from pydantic import BaseModel, Field

from cqrs.command.validation import CommandValidationService
from cqrs.types import Command, Query
from cqrs.validation.exceptions import CqrsValidationException
from cqrs.validation.processor import AutoValidationProcessor
from cqrs.validation.types import ValidationResult, ValidationSeverity


@dataclass(frozen=True)
class Checked(Command[str]):
    x: int = 1

    async def validate(self) -> ValidationResult:
        severity = ValidationSeverity.WARNING if self.x == 0 else ValidationSeverity.ERROR
        return ValidationResult.success() if self.x > 0 else ValidationResult.failure("x", "low", severity=severity)


@dataclass(frozen=True)
class Unchecked(Query[str]):
    x: int = 1


class Model(BaseModel, Query[str]):  # type: ignore[misc]
    x: int = Field(default=1, gt=0)


@pytest.mark.asyncio
async def test_an_invalid_message_is_refused_with_its_findings() -> None:
    service = CommandValidationService()
    with pytest.raises(CqrsValidationException) as refused:
        await service.validate_command(Checked(-1))
    assert refused.value.result.error_messages() == ["x: low"]
    with pytest.raises(CqrsValidationException):
        await service.validate_query(Model.model_construct(x=-1))


@pytest.mark.asyncio
async def test_a_valid_message_passes_and_warnings_are_reported() -> None:
    service = CommandValidationService()
    assert await service.validate_command(Checked(1)) == ValidationResult.success()
    assert (await service.validate_command(Checked(0))).error_messages() == ["x: low"]
    assert (await service.validate_query(Unchecked())).valid


def test_validate_sync_looks_at_the_structure_alone_and_does_not_raise() -> None:
    service = CommandValidationService()
    assert service.validate_sync(Checked(-1)).valid
    assert not service.validate_sync(Model.model_construct(x=-1)).valid


def test_only_what_cannot_be_refused_can_be_left_out() -> None:
    class Own(CommandValidationService):
        pass

    class OwnProcessor(AutoValidationProcessor):
        pass

    assert CommandValidationService().accepts_all(Unchecked)
    assert not CommandValidationService().accepts_all(Checked)
    assert not CommandValidationService().accepts_all(Model)
    assert not Own().accepts_all(Unchecked)
    assert not CommandValidationService(OwnProcessor()).accepts_all(Unchecked)
