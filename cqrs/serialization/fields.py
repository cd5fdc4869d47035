"""What a class declares to hold, whichever way it declares it."""

import dataclasses
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints, is_typeddict

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Field:
    """Describe one declared field.

    Attributes:
        name: Its name in data.
        type: Its annotation, with `Annotated` kept.
        required: Whether an object cannot be made without it.
        built: Whether it is given when an object is made; False for a dataclass's `field(init=False)`.
        attribute: Its name on the object.
    """

    name: str
    type: object
    required: bool
    built: bool = True
    attribute: str = ""


_KNOWN: dict[type, tuple[Field, ...] | None] = {}


def fields_of(cls: type) -> tuple[Field, ...] | None:
    """Return the declared fields of `cls`, or None when it is not a class of fields (an int, an enum, a dict, ...).

    Raises:
        TypeError: the class has fields that cannot be told: an annotation that names nothing, or none at all.
    """
    if cls in _KNOWN:
        return _KNOWN[cls]
    try:
        return _KNOWN.setdefault(cls, _declared(cls))
    except NameError as error:
        raise TypeError(
            f"{cls.__qualname__} has an annotation that cannot be resolved ({error}); import the name at module level"
        ) from None


def values_of(value: object) -> Sequence[tuple[str, object]] | None:
    """Return the (name, value) pairs that an object holds, or None when it is not an object of fields.

    For a plain class these are its public attributes, not the parameters of its `__init__`: what was computed there
    is part of the object too.
    """
    cls = type(value)
    if not has_declared_fields(cls):
        return _public_attributes(value)
    extra = (value.__pydantic_extra__ or {}).items() if isinstance(value, BaseModel) else ()
    return [(field.name, getattr(value, field.attribute)) for field in fields_of(cls) or ()] + list(extra)


def has_declared_fields(cls: type) -> bool:
    """Say whether a class lists its fields: a dataclass, a pydantic model or a named tuple."""
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel) or hasattr(cls, "_fields")


def _public_attributes(value: object) -> Sequence[tuple[str, object]] | None:
    cls = type(value)
    if cls.__module__ == "builtins" or not (hasattr(value, "__dict__") or hasattr(cls, "__slots__")):
        return None
    if fields_of(cls) is None:
        return None
    slots = [name for base in cls.__mro__ for name in _slots(base) if hasattr(value, name)]
    names = [*slots, *getattr(value, "__dict__", {})]
    return [(name, getattr(value, name)) for name in names if not name.startswith("_")]


def _slots(cls: type) -> Sequence[str]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _declared(cls: type) -> tuple[Field, ...] | None:
    if dataclasses.is_dataclass(cls):
        return _of_dataclass(cls)
    if issubclass(cls, BaseModel):
        return tuple(_of_model(name, info) for name, info in cls.model_fields.items())
    if is_typeddict(cls):
        hints = get_type_hints(cls, include_extras=True)
        required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        return tuple(Field(name, hint, name in required, attribute=name) for name, hint in hints.items())
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _of_named_tuple(cls)
    return _of_init(cls)


def _of_dataclass(cls: type) -> tuple[Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    missing = dataclasses.MISSING
    return tuple(
        Field(
            name=field.name,
            type=hints[field.name],
            required=field.default is missing and field.default_factory is missing,
            built=field.init,
            attribute=field.name,
        )
        for field in dataclasses.fields(cls)
    )


def _of_model(name: str, info: FieldInfo) -> Field:
    annotation: Any = info.annotation
    for constraint in info.metadata:
        annotation = Annotated[annotation, constraint]
    return Field(info.alias or name, annotation, info.is_required(), attribute=name)


def _of_named_tuple(cls: type) -> tuple[Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    names: Sequence[str] = getattr(cls, "_fields", ())
    defaults = getattr(cls, "_field_defaults", {})
    return tuple(Field(name, hints.get(name, object), name not in defaults, attribute=name) for name in names)


_NOT_OF_FIELDS = frozenset({"builtins", "datetime", "decimal", "uuid", "enum", "fractions", "pathlib"})


def _of_init(cls: type) -> tuple[Field, ...] | None:
    init: object = inspect.getattr_static(cls, "__init__")
    if not inspect.isfunction(init) or cls.__module__ in _NOT_OF_FIELDS:
        return None
    hints = get_type_hints(init, include_extras=True)
    parameters = list(inspect.signature(init).parameters.values())[1:]
    return tuple(_of_parameter(cls, parameter, hints) for parameter in parameters)


def _of_parameter(cls: type, parameter: inspect.Parameter, hints: dict[str, object]) -> Field:
    if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        raise TypeError(
            f"{cls.__qualname__}.__init__ takes {parameter}, which has no name in data; give each field a parameter"
        )
    if parameter.name not in hints:
        raise TypeError(f"{cls.__qualname__}.__init__ has the parameter {parameter.name} without a type; annotate it")
    required = parameter.default is inspect.Parameter.empty
    return Field(parameter.name, hints[parameter.name], required, attribute=parameter.name)
