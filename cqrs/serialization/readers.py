"""From an annotation to the function that reads it: compiled once, so that a message costs no inspection."""

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from cqrs.exceptions import ConfigurationException
from cqrs.serialization.fields import Field, fields_of
from cqrs.serialization.misfits import MisfitException, below, join, kind, misfit
from cqrs.serialization.scalars import READERS, Reader, read_anything

_LISTS = {list, Sequence, MutableSequence, Collection, Iterable}
_SETS: Mapping[object, Callable[[Iterable[object]], object]] = {set: set, frozenset: frozenset, AbstractSet: frozenset}
_MAPS = {dict, Mapping, MutableMapping}


_KNOWN: dict[type, Reader] = {}


def reader_of(cls: type) -> Reader:
    """Return the compiled reader of a class.

    Raises:
        ConfigurationException: an annotation in it is understood neither here nor by pydantic.
    """
    known = _KNOWN.get(cls)
    return known if known is not None else _KNOWN.setdefault(cls, _compile(cls))


def _compile(annotation: object) -> Reader:
    scalar = READERS.get(annotation) if isinstance(annotation, type) or annotation is None else None
    if scalar is not None:
        return scalar
    if annotation is Any:
        return read_anything
    origin = get_origin(annotation)
    if origin is None:
        return _compile_plain(annotation)
    return _compile_generic(origin, get_args(annotation), annotation)


def _compile_plain(annotation: object) -> Reader:
    if isinstance(annotation, NewType):
        return _compile(annotation.__supertype__)
    if isinstance(annotation, TypeVar):
        return _compile(annotation.__bound__) if annotation.__bound__ is not None else read_anything
    if not isinstance(annotation, type):
        return _by_pydantic(annotation)
    if issubclass(annotation, enum.Enum):
        return _enum(annotation)
    if annotation in _LISTS or annotation is tuple:
        return _sequence(read_anything, tuple if annotation is tuple else list)
    if annotation in _SETS:
        return _set(read_anything, _SETS[annotation])
    if annotation in _MAPS:
        return _mapping(READERS[str], read_anything)
    return _object(annotation) if _fields(annotation) is not None else _by_pydantic(annotation)


def _compile_generic(origin: object, args: tuple[Any, ...], annotation: object) -> Reader:
    if origin is Annotated:
        return _constrained(_compile(args[0]), annotation)
    if origin in (Required, NotRequired):
        return _compile(args[0])
    if origin in _OF_ALL_ARGUMENTS:
        return _OF_ALL_ARGUMENTS[origin](args)
    if origin in _LISTS:
        return _sequence(_compile(args[0]), list)
    if origin in _SETS:
        return _set(_compile(args[0]), _SETS[origin])
    if origin in _MAPS:
        return _mapping(_compile(args[0]), _compile(args[1]))
    return _by_pydantic(annotation)


def _fields(cls: type) -> tuple[Field, ...] | None:
    try:
        return fields_of(cls)
    except TypeError as error:
        raise ConfigurationException([str(error)]) from error


def _object(cls: type) -> Reader:
    """Read an object of fields; nested classes are compiled at first use, since a class may hold itself."""
    fields = {field.name: field for field in _fields(cls) or () if field.built}
    required = [field.name for field in fields.values() if field.required]
    readers: dict[str, tuple[str, Reader]] = {}
    make = _maker(cls)

    def read(value: object) -> object:
        if type(value) is not dict:
            raise misfit(f"must be an object, not {kind(value)}")
        if not readers:
            readers.update({name: (_parameter(cls, field), _compile(field.type)) for name, field in fields.items()})
        given: dict[str, object] = {}
        try:
            for name, item in value.items():
                parameter, reader = readers[name]
                given[parameter] = reader(item)
        except (KeyError, MisfitException):
            raise _all_misfits(value, readers, required) from None
        if len(given) < len(readers) and any(name not in value for name in required):
            raise _all_misfits(value, readers, required)
        return make(given)

    return read


def _parameter(cls: type, field: Field) -> str:
    return field.name if issubclass(cls, BaseModel) else field.attribute


def _all_misfits(
    value: Mapping[object, object], readers: Mapping[str, tuple[str, Reader]], required: list[str]
) -> MisfitException:
    problems = [(name, "is missing") for name in required if name not in value]
    for name, item in value.items():
        if not isinstance(name, str) or name not in readers:
            problems.append((str(name)[:80], f"is not known; known are {', '.join(readers)}"))
            continue
        try:
            readers[name][1](item)
        except MisfitException as error:
            problems += below(name, error)
    return MisfitException(problems)


def _maker(cls: type) -> Callable[[dict[str, object]], object]:
    if is_typeddict(cls):
        return lambda given: given
    if issubclass(cls, BaseModel):
        return lambda given: _validated(cls.model_validate, given)

    def make(given: dict[str, object]) -> object:
        try:
            return cls(**given)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise misfit(f"{cls.__qualname__} refuses it: {error}") from error

    return make


def _constrained(read: Reader, annotation: object) -> Reader:
    validate = _adapter(annotation).validate_python

    def check(value: object) -> object:
        return _validated(validate, read(value))

    return check


def _by_pydantic(annotation: object) -> Reader:
    validate = _adapter(annotation).validate_python

    def read(value: object) -> object:
        return _validated(validate, value)

    return read


def _adapter(annotation: Any) -> TypeAdapter[object]:
    if isinstance(annotation, ForwardRef | str):
        raise ConfigurationException([f"the annotation {annotation!r} cannot be resolved; import it at module level"])
    try:
        return TypeAdapter[object](annotation)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationException([f"the annotation {annotation} cannot be read from data: {reason}"]) from error


def _validated(validate: Callable[[Any], object], value: object) -> object:
    try:
        return validate(value)
    except ValidationError as error:
        raise MisfitException(
            [(_path(each["loc"]), each["msg"]) for each in error.errors(include_url=False)]
        ) from error


def _path(steps: tuple[int | str, ...]) -> str:
    path = ""
    for step in reversed(steps):
        path = join(f"[{step}]" if isinstance(step, int) else step, path)
    return path


def _union(args: tuple[Any, ...]) -> Reader:
    members = [_compile(arg) for arg in args if arg is not NoneType]
    nullable = NoneType in args

    def read(value: object) -> object:
        if value is None and nullable:
            return None
        if len(members) == 1:
            return members[0](value)
        return _first_that_fits(value)

    def _first_that_fits(value: object) -> object:
        refusals: list[str] = []
        for member in members:
            try:
                return member(value)
            except MisfitException as error:
                refusals.append(str(error))
        raise misfit(f"fits none of its {len(members)} forms ({' | '.join(refusals)})")

    return read


def _literal(args: tuple[object, ...]) -> Reader:
    def read(value: object) -> object:
        for arg in args:
            wanted = arg.value if isinstance(arg, enum.Enum) else arg
            if type(wanted) is type(value) and wanted == value:
                return arg
        raise misfit(f"must be one of {', '.join(map(repr, args))}")

    return read


def _enum(cls: type[enum.Enum]) -> Reader:
    members = {(type(member.value), member.value): member for member in cls}
    expected = f"must be one of {', '.join(repr(member.value) for member in cls)}"

    def read(value: object) -> object:
        try:
            return members[type(value), value]
        except (KeyError, TypeError):
            raise misfit(expected) from None

    return read


def _items(value: object, read: Reader) -> list[object]:
    if type(value) is not list:
        raise misfit(f"must be an array, not {kind(value)}")
    try:
        return [read(item) for item in value]
    except MisfitException:
        problems: list[tuple[str, str]] = []
        for index, item in enumerate(value):
            try:
                read(item)
            except MisfitException as error:
                problems += below(f"[{index}]", error)
        raise MisfitException(problems) from None


def _sequence(item: Reader, make: Callable[[list[object]], object]) -> Reader:
    return lambda value: make(_items(value, item))


def _set(item: Reader, make: Callable[[Iterable[object]], object]) -> Reader:
    def read(value: object) -> object:
        items = _items(value, item)
        if len(set(items)) != len(items):
            raise misfit("must not hold the same value twice")
        return make(items)

    return read


def _tuple(args: tuple[Any, ...]) -> Reader:
    if len(args) == 2 and args[1] is Ellipsis:
        return _sequence(_compile(args[0]), tuple)
    members = [_compile(arg) for arg in args]

    def read(value: object) -> object:
        if type(value) is not list or len(value) != len(members):
            raise misfit(f"must be an array of {len(members)} values")
        pairs = {f"[{index}]": (index, member) for index, member in enumerate(members)}
        return tuple(_members(value, pairs))

    return read


def _members(value: list[object], pairs: Mapping[str, tuple[int, Reader]]) -> list[object]:
    made: list[object] = []
    problems: list[tuple[str, str]] = []
    for step, (index, read) in pairs.items():
        try:
            made.append(read(value[index]))
        except MisfitException as error:
            problems += below(step, error)
    if problems:
        raise MisfitException(problems)
    return made


def _mapping(key: Reader, item: Reader) -> Reader:
    def read(value: object) -> object:
        if type(value) is not dict:
            raise misfit(f"must be an object, not {kind(value)}")
        made: dict[object, object] = {}
        problems: list[tuple[str, str]] = []
        for name, each in value.items():
            try:
                made[key(name)] = item(each)
            except MisfitException as error:
                problems += below(str(name)[:80], error)
        if problems:
            raise MisfitException(problems)
        return made

    return read


_OF_ALL_ARGUMENTS: Mapping[object, Callable[[tuple[Any, ...]], Reader]] = {
    Union: _union,
    UnionType: _union,
    Literal: _literal,
    tuple: _tuple,
}
