"""Validate any message: its structure when it is a pydantic model, then its own `validate()`."""

import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator
from types import CoroutineType, FunctionType
from weakref import WeakKeyDictionary

from pydantic import BaseModel, RootModel
from pydantic import ValidationError as PydanticValidationError

from cqrs.exceptions import is_retryable
from cqrs.validation.types import ValidationError, ValidationResult

_logger = logging.getLogger(__name__)


class AutoValidationProcessor:
    """Run the structural validation of pydantic, then the message's `validate()`, and merge the results."""

    def validate_sync(self, message: object) -> ValidationResult:
        """Validate the structure alone: a pydantic model's fields, and those of the models in it.

        It catches what was never checked at creation: `model_construct`, assignment, mutated lists. Any other object
        has no structure to validate and passes.
        """
        if not isinstance(message, BaseModel):
            return ValidationResult.success()
        return ValidationResult.from_errors(_structural_errors(message, prefix=()))

    async def validate(self, message: object) -> ValidationResult:
        """Validate the structure, then the business rules of `message.validate()`, which may be sync or async.

        A hook that raises, or returns anything but a `ValidationResult`, is a failure. Warnings are logged.

        Raises:
            CqrsException: the hook raised an error that is retryable (a dependency is away): nothing is known
                of the message then, so it is neither valid nor refused for good.
        """
        return _told(message, self.validate_sync(message).combine(await _business_rules(message)))

    def validator_of(self, message_type: type) -> Callable[[object], Coroutine[object, object, ValidationResult]]:
        """Return what validates the messages of exactly this class, as `validate` does: what never changes is decided.

        A class that is no pydantic model has no structure; its hook is looked up at every message, since a test may
        replace it. This takes 1.5 us of a message where `validate` takes 7.
        """
        if issubclass(message_type, BaseModel):
            return self.validate

        async def validate(message: object) -> ValidationResult:
            hook: object = getattr(message_type, "validate", None)
            if type(hook) is not FunctionType:
                return await self.validate(message)
            return _told(message, await _answer_of(message, hook))

        return validate


def _told(message: object, result: ValidationResult) -> ValidationResult:
    if result.errors and result.valid:
        _logger.warning("%s is valid with warnings: %s", type(message).__qualname__, result.summary)
    return result


def _structural_errors(model: BaseModel, prefix: tuple[str, ...]) -> Iterator[ValidationError]:
    held = model.__dict__
    fields = {name: held[name] for name in type(model).model_fields if name in held} | (model.model_extra or {})
    try:
        _revalidate(model, fields)
    except PydanticValidationError as refused:
        for found in refused.errors(include_url=False):
            place = ".".join([*prefix, *(str(part) for part in found["loc"])])
            yield ValidationError(
                place or type(model).__name__, found["msg"], error_code=found["type"], rejected_value=found["input"]
            )
    # pydantic takes nested model instances on trust, so each is validated in its own right.
    for name, value in fields.items():
        for place, nested in _models_in(value, name):
            yield from _structural_errors(nested, (*prefix, place))


def _revalidate(model: BaseModel, fields: dict[str, object]) -> None:
    # Into a bare instance: a user's own __init__ need not take the fields by name, and must not run twice.
    kind = type(model)
    content = fields["root"] if isinstance(model, RootModel) else fields
    kind.__pydantic_validator__.validate_python(
        content, self_instance=object.__new__(kind), by_name=True, by_alias=False
    )


def _models_in(value: object, place: str) -> Iterator[tuple[str, BaseModel]]:
    if isinstance(value, BaseModel):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _models_in(item, f"{place}.{key}")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _models_in(item, f"{place}.{index}")


async def _business_rules(message: object) -> ValidationResult:
    hook = _validate_hook(message)
    return await _answer_of(message, hook) if hook else ValidationResult.success()


async def _answer_of(message: object, hook: Callable[[object], object]) -> ValidationResult:
    try:
        result = hook(message)
        if type(result) is CoroutineType or inspect.isawaitable(result):
            result = await result
    except Exception as error:
        if is_retryable(error):
            raise
        _logger.warning("%s.validate() raised", type(message).__qualname__, exc_info=True)
        return ValidationResult.failure("validate()", f"raised {type(error).__name__}: {error}")
    if not isinstance(result, ValidationResult):
        return ValidationResult.failure("validate()", f"returned {result!r} instead of a ValidationResult")
    return result


def _validate_hook(message: object) -> Callable[[object], object] | None:
    # BaseModel brings a deprecated classmethod of the same name, which hides Command.validate when it comes first.
    kind = type(message)
    inherited: object = getattr(kind, "validate", None)
    known, function = _hooks.get(kind, _UNSEEN)
    if known is not inherited or isinstance(message, BaseModel):
        owners = (owner for owner in kind.__mro__ if owner is not BaseModel and "validate" in vars(owner))
        function = next((vars(owner)["validate"] for owner in owners), None)
        _hooks[kind] = inherited, function
    if function is None:
        return None
    found = function
    return lambda given: found.__get__(given, kind)()


_UNSEEN: tuple[object, FunctionType | None] = (object(), None)

_hooks: WeakKeyDictionary[type, tuple[object, FunctionType | None]] = WeakKeyDictionary()
"""What each class had as its `validate` when it was last asked, and what is called for it: a test may replace it."""
