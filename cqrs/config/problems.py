"""Say what is wrong with settings in words an operator can act on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from cqrs.config.listing import masked
from cqrs.config.sources import Readings, environment_names, is_group, near_miss

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONGEST_VALUE = 100
# A default is made of a setting that is itself refused: nobody gave this one a wrong value.
_CONSEQUENCE = "default_factory_not_called"


def settings_problems(settings: type[BaseModel], refused: ValidationError, readings: Readings) -> list[str]:
    """Return one sentence for each error: the setting, where its value came from, what is wrong and what to try."""
    return [
        sentence
        for error in refused.errors(include_url=False)
        if error["type"] != _CONSEQUENCE
        for sentence in (_unknown if error["type"] == "extra_forbidden" else _wrong)(settings, error, readings)
    ]


def _unknown(settings: type[BaseModel], error: "ErrorDetails", readings: Readings) -> Iterator[str]:
    for path in _leaves(_path(error), error["input"]):
        name = "__".join(path).upper()
        meant = near_miss(name, environment_names(settings))
        yield f"{name} ({readings.origin(path)}): there is no such setting" + (
            f"; did you mean {meant}?" if meant else "; remove it."
        )


def _wrong(settings: type[BaseModel], error: "ErrorDetails", readings: Readings) -> Iterator[str]:
    path, inside, is_secret = _setting(settings, _path(error))
    message = error["msg"].removeprefix("Value error, ")
    if not path:
        yield message
        return
    found = "" if is_secret else f"; it is {masked(repr(error['input']))[:_LONGEST_VALUE]}"
    place = f" at {'.'.join(inside)}" if inside else ""
    yield f"{'__'.join(path).upper()} ({readings.origin(path)}){place}: {message}{found}"


def _path(error: "ErrorDetails") -> tuple[str, ...]:
    return tuple(str(part) for part in error["loc"])


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        yield path
        return
    for name, item in value.items():
        yield from _leaves((*path, str(name)), item)


def _setting(settings: type[BaseModel], path: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Split `path` into the setting and the place inside its value, and say whether that setting is secret."""
    group: object = settings
    for depth, part in enumerate(path):
        if not is_group(group):
            return path[:depth], path[depth:], "SecretStr" in str(group)
        group = group.model_fields[part].annotation
    return path, (), "SecretStr" in str(group)
