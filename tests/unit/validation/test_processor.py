import asyncio
import logging
from dataclasses import dataclass
from decimal import Decimal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from cqrs.exceptions import DependencyUnavailableException
from cqrs.types import Command
from cqrs.validation.processor import AutoValidationProcessor
from cqrs.validation.types import ValidationResult, ValidationSeverity

processor = AutoValidationProcessor()


class Item(BaseModel):
    sku: str = Field(min_length=1)
    quantity: int = Field(gt=0)


class Order(BaseModel, Command[str]):
    model_config = ConfigDict(extra="forbid")

    customer_id: str = Field(alias="customerId")
    items: list[Item] = []
    total: Decimal = Decimal(0)

    async def validate(self) -> ValidationResult:  # type: ignore[override]
        return ValidationResult.success() if self.total >= 0 else ValidationResult.failure("total", "negative")


class Names(RootModel[list[str]]):
    pass


class Holder(BaseModel):
    names: Names
    by_place: dict[str, Item] = {}


def test_a_valid_model_passes_though_its_fields_have_aliases_and_metadata_beside_them() -> None:
    order = Order(customerId="c", items=[Item(sku="a", quantity=1)])
    order.set_metadata("k", "v")
    assert processor.validate_sync(order) == ValidationResult.success()


def test_what_was_never_checked_at_creation_is_found_with_its_place() -> None:
    order = Order(customerId="c", items=[Item(sku="a", quantity=1), Item.model_construct(sku="", quantity=0)])
    order.customer_id = 7  # type: ignore[assignment]
    result = processor.validate_sync(order)
    assert [(error.field_name, error.error_code, error.rejected_value) for error in result.errors] == [
        ("customer_id", "string_type", 7),
        ("items.1.sku", "string_too_short", ""),
        ("items.1.quantity", "greater_than", 0),
    ]


def test_models_inside_models_are_found_in_roots_and_mappings() -> None:
    holder = Holder.model_construct(
        names=Names.model_construct(root=[1]),  # type: ignore[list-item]
        by_place={"x": Item.model_construct(sku="a", quantity=-1)},
    )
    places = [error.field_name for error in processor.validate_sync(holder).errors]
    assert places == ["names.0", "by_place.x.quantity"]


def test_a_constructor_of_its_own_is_not_run_again() -> None:
    made: list[str] = []

    class Own(BaseModel):
        name: str

        def __init__(self, first: str, last: str) -> None:
            made.append(first)
            super().__init__(name=f"{first} {last}")

    assert processor.validate_sync(Own("a", "b")).valid
    assert made == ["a"]


def test_what_is_no_model_has_no_structure_to_check() -> None:
    assert processor.validate_sync(object()).valid


@pytest.mark.asyncio
async def test_structure_and_business_rules_are_merged() -> None:
    order = Order(customerId="c", total=Decimal(-1))
    order.customer_id = None  # type: ignore[assignment]
    assert [error.field_name for error in (await processor.validate(order)).errors] == ["customer_id", "total"]


@pytest.mark.asyncio
async def test_pydantics_own_validate_is_not_taken_for_the_hook() -> None:
    class WithoutHook(BaseModel):
        name: str

    assert (await processor.validate(WithoutHook(name="a"))).valid
    assert (await processor.validate(object())).valid


@dataclass
class Hooked:
    answer: object

    def validate(self) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [None, True, False, "ok", [], ValueError("broken"), TimeoutError()])
async def test_a_hook_that_gives_no_result_is_a_failure(answer: object) -> None:
    result = await processor.validate(Hooked(answer))
    assert not result.valid
    assert "validate()" in str(result.summary)


@pytest.mark.asyncio
async def test_a_hook_that_cannot_be_called_is_a_failure() -> None:
    class Broken:
        validate = "not a method"

    assert not (await processor.validate(Broken())).valid


@pytest.mark.asyncio
async def test_sync_and_async_hooks_are_asked_alike() -> None:
    async def later() -> ValidationResult:
        return ValidationResult.failure("a", "b")

    assert (await processor.validate(Hooked(ValidationResult.success()))).valid
    assert (await processor.validate(Hooked(later()))).error_messages() == ["a: b"]


@pytest.mark.asyncio
async def test_a_dependency_that_is_away_is_no_verdict() -> None:
    with pytest.raises(DependencyUnavailableException):
        await processor.validate(Hooked(DependencyUnavailableException("database", "gone")))


@pytest.mark.asyncio
async def test_cancellation_is_not_swallowed() -> None:
    with pytest.raises(asyncio.CancelledError):
        await processor.validate(Hooked(asyncio.CancelledError()))


@pytest.mark.asyncio
async def test_warnings_pass_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    warning = ValidationResult.failure("name", "rather long", severity=ValidationSeverity.WARNING)
    with caplog.at_level(logging.WARNING):
        assert (await processor.validate(Hooked(warning))).valid
    assert "name: rather long" in caplog.text
