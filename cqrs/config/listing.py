"""List every setting with its type, default, environment name, help and value; secrets are masked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cqrs.masking import without_url_passwords

_MASK = "********"


@dataclass(frozen=True)
class Setting:
    """Describe one setting.

    Attributes:
        name: Its place in YAML; groups are joined by dots.
        type: What it may hold.
        default: What it is when nobody sets it.
        environment: The environment variable that sets it.
        help: What it does, in one line.
        value: What it is now; a secret is masked.
    """

    name: str
    type: str
    default: str
    environment: str
    help: str
    value: str


def describe_settings(settings: BaseModel) -> tuple[Setting, ...]:
    """Return every setting of `settings` in the order of its class, groups opened."""
    return tuple(_lines(settings, ()))


def masked(text: str) -> str:
    """Return `text` with the passwords of the URLs in it hidden."""
    return without_url_passwords(text, _MASK)


def _lines(group: BaseModel, path: tuple[str, ...]) -> Iterator[Setting]:
    values = dict(group)
    for name, field in type(group).model_fields.items():
        value = values[name]
        if isinstance(value, BaseModel):
            yield from _lines(value, (*path, name))
        else:
            yield _setting((*path, name), field, value, values)


def _setting(path: tuple[str, ...], field: FieldInfo, value: object, siblings: dict[str, object]) -> Setting:
    return Setting(
        name=".".join(path),
        type=_type_text(field.annotation),
        default=_text(field.get_default(call_default_factory=True, validated_data=siblings)),
        environment="__".join(path).upper(),
        help=field.description or "",
        value=_text(value),
    )


def _text(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return _MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ",".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(str(item) for item in value)
    return masked(str(value))


def _type_text(annotation: object) -> str:
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (Union, UnionType):
        return " | ".join(_type_text(part) for part in arguments if part is not NoneType)
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin is tuple:
        return f"{_type_text(arguments[0])},..."
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "=".join(_type_text(part) for part in arguments) + ",..."
    if annotation is SecretStr:
        return "secret"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
