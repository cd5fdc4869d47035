"""Objects from plain data, and plain data from objects; each class is compiled once.

Plain data is what JSON and Avro readers give: dict, list, str, int, Decimal, bool, None, and from Avro also datetime,
date, UUID, float and bytes. Building is strict: no value changes its meaning, no field is dropped or made up.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar

from pydantic_core import PydanticSerializationError, to_jsonable_python

from cqrs.serialization.fields import fields_of, values_of
from cqrs.serialization.misfits import MisfitException, below, kind, misfit
from cqrs.serialization.readers import reader_of
from cqrs.serialization.scalars import PLAIN

T = TypeVar("T")


def build(target: type[T], data: object) -> T:
    """Make an object of class `target` from plain data.

    Works for dataclasses, pydantic models, named tuples and classes whose `__init__` is annotated (a typed dict only as
    a field of one); their own `__init__`, defaults and validators run. A datetime must carry its
    offset and is given in UTC.

    Raises:
        MisfitException: names every field that does not fit, with its path.
        ConfigurationException: the class itself cannot be read from data: an annotation that nobody understands.
    """
    made = reader_of(target)(data)
    if not isinstance(made, target):
        raise TypeError(f"building {target.__qualname__} gave {type(made).__qualname__}")
    return made


def plain(value: object) -> object:
    """Turn an object into JSON's own types, whole or not at all.

    Of a dataclass or a pydantic model its declared fields are taken; of any other class its public attributes. What
    the package keeps on a command (ids, correlation, timestamp) is neither, and never included.

    Raises:
        MisfitException: names every place that holds what JSON cannot say.
    """
    writer = PLAIN.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return _each([(str(key), _key(key), item) for key, item in value.items()])
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return _list(value)
    if isinstance(value, set | frozenset):
        return _list(sorted(value, key=repr))
    members = values_of(value)
    if members is not None:
        return _each([(name, name, item) for name, item in members])
    return _fallback(value)


def shape_problems(event_type: type) -> Sequence[str]:
    """Say what would keep every object of this class from being turned into plain data, a sentence each."""
    try:
        fields_of(event_type)
    except TypeError as error:
        return [str(error)]
    return []


def _each(members: Sequence[tuple[str, object, object]]) -> dict[object, object]:
    made: dict[object, object] = {}
    problems: list[tuple[str, str]] = []
    for step, key, item in members:
        try:
            made[key] = plain(item)
        except MisfitException as error:
            problems += below(step, error)
    if problems:
        raise MisfitException(problems)
    return made


def _list(items: Sequence[object]) -> list[object]:
    members = _each([(f"[{index}]", index, item) for index, item in enumerate(items)])
    return list(members.values())


def _key(key: object) -> str:
    made = plain(key)
    if not isinstance(made, str):
        raise misfit(f"a key of an object must be a string in JSON, not {kind(key)}")
    return made


def _fallback(value: object) -> object:
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise misfit(f"{type(value).__qualname__} has no form in JSON") from None


__all__ = ["MisfitException", "build", "plain", "shape_problems"]
