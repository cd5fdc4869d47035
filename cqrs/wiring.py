"""Work out which object goes into which constructor, before any is made; everything that is wrong is found at once."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from cqrs.exceptions import ConfigurationException


class Level(IntEnum):
    """Rank where a bean comes from; for one type the highest wins."""

    DEFAULT = 0
    SCANNED = 1
    GIVEN = 2
    CHOSEN = 3


@dataclass(frozen=True)
class Need:
    """Describe one parameter of a constructor.

    Attributes:
        name: The parameter's name.
        wanted: The type it wants, without `| None`.
        optional: Whether None will do.
        has_default: Whether it may be left out.
    """

    name: str
    wanted: object
    optional: bool
    has_default: bool


@dataclass(frozen=True, eq=False)
class Bean:
    """Describe one object that the container can make.

    Attributes:
        key: The type it is held under.
        level: Where it comes from.
        label: How an error names it.
        make: What makes it from its needs by name; None when a dishka provider does.
        needs: What it is made from.
        ports: Further types it stands for by name, as `@service(provides=...)` says.
        nature: The class of an instance that is held under a port.
    """

    key: object
    level: Level
    label: str
    make: Callable[..., object] | None
    needs: tuple[Need, ...] = ()
    ports: tuple[object, ...] = ()
    nature: type | None = None

    def strength(self, wanted: object) -> tuple[Level, bool] | None:
        """Return how strongly it stands for `wanted` (level, then by name before by base class), or None."""
        if wanted == self.key or wanted in self.ports:
            return (self.level, True)
        if any(_derives_from(kind, wanted) for kind in (self.key, self.nature)):
            return (self.level, False)
        return None


class Wiring:
    """Link beans to each other by type.

    Args:
        beans: Everything that can be made, in the order in which it was found.
    """

    def __init__(self, beans: Iterable[Bean]) -> None:
        self._all = tuple(beans)
        self.live = tuple(bean for bean in self._all if bean in self.candidates(bean.key))
        """The beans that stand for their own type: not replaced by a stronger one."""

    def candidates(self, wanted: object) -> tuple[Bean, ...]:
        """Return the strongest beans for `wanted`: none when it is missing, several when it is ambiguous."""
        strengths = [(strength, bean) for bean in self._all if (strength := bean.strength(wanted)) is not None]
        best = max((strength for strength, _ in strengths), default=None)
        return tuple(bean for strength, bean in strengths if strength == best)

    def links(self, bean: Bean) -> dict[str, Bean]:
        """Return the bean for each need that has one; a need left out takes its default or None."""
        found = ((need.name, self.candidates(need.wanted)) for need in bean.needs)
        return {name: beans[0] for name, beans in found if beans}

    def check(self) -> None:
        """Follow every need.

        Raises:
            ConfigurationException: each need that nothing or more than one bean meets, with the path to it, each
                type made twice and each circle.
        """
        problems = [*self._duplicates()]
        needed = {id(linked) for bean in self.live for linked in self.links(bean).values()}
        roots = sorted(self.live, key=lambda bean: id(bean) in needed)
        visited: set[int] = set()
        for root in roots:
            problems.extend(self._follow(root, (), visited))
        if problems:
            raise ConfigurationException(problems)

    def _duplicates(self) -> Iterator[str]:
        for key in dict.fromkeys(bean.key for bean in self.live):
            same = [bean.label for bean in self.live if bean.key == key]
            if len(same) > 1:
                yield f"{type_name(key)} is made by {' and by '.join(same)}; keep one of them."

    def _follow(self, bean: Bean, path: tuple[tuple[Bean, Need], ...], visited: set[int]) -> Iterator[str]:
        above = [passed for passed, _ in path]
        if bean in above:
            circle = [passed.label for passed in above[above.index(bean) :]]
            yield f"{' > '.join([*circle, bean.label])} is a circle; let one of them be given the other later."
            return
        if id(bean) in visited:
            return
        visited.add(id(bean))
        for need in bean.needs:
            here = (*path, (bean, need))
            found = self.candidates(need.wanted)
            if len(found) == 1:
                yield from self._follow(found[0], here, visited)
            elif found or not (need.optional or need.has_default):
                yield f"{_path_text(here)}: {self._unmet(need.wanted, found)}"

    def _unmet(self, wanted: object, found: tuple[Bean, ...]) -> str:
        name = type_name(wanted)
        if found:
            labels = " and ".join(bean.label for bean in found)
            return f"{labels} both stand for {name}; mark the one that is meant with @service(provides={name})."
        fitting = [bean.label for bean in self._all if missing_members(bean.key, wanted) == ()]
        if fitting:
            return f"nothing provides {name}, but {fitting[0]} fits; mark it with @service(provides={name})."
        return f"nothing provides {name}; mark a class with @service(provides={name}), or give the container one."


def needs_of(function: Callable[..., object]) -> tuple[Need, ...]:
    """Return what the parameters of `function` want; `self`, `*args` and `**kwargs` are left out.

    Raises:
        ConfigurationException: a parameter without a type, or with one whose name is not known at run time.
    """
    hints = _hints(function)
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    untyped = [one.name for one in named if one.name not in hints and one.default is one.empty]
    if untyped:
        where = f"{function.__module__}.{function.__qualname__}"
        raise ConfigurationException([f"{where}: give the parameter {', '.join(untyped)} a type to wire it by."])
    return tuple(_need(one, hints[one.name]) for one in named if one.name in hints)


def result_of(function: Callable[..., object]) -> object:
    """Return the type that `function` returns, without `| None`.

    Raises:
        ConfigurationException: it declares no type, or one whose name is not known at run time.
    """
    declared = _hints(function).get("return", NoneType)
    if declared is NoneType:
        where = f"{function.__module__}.{function.__qualname__}"
        raise ConfigurationException([f"{where}: declare the type that it returns; it is wired by it."])
    return _without_none(declared)[0]


def type_name(wanted: object) -> str:
    """Return how a person writes a type."""
    return wanted.__qualname__ if isinstance(wanted, type) and not get_args(wanted) else str(wanted)


def missing_members(kind: object, port: object) -> tuple[str, ...] | None:
    """Return which members of the Protocol `port` the class `kind` lacks; None when there is nothing to compare."""
    if not isinstance(kind, type) or not isinstance(port, type) or not getattr(port, "_is_protocol", False):
        return None
    members = {
        name: None
        for base in port.__mro__
        if getattr(base, "_is_protocol", False)
        for name in (*vars(base), *vars(base).get("__annotations__", {}))
        if not name.startswith("_")
    }
    fields = {name for base in kind.__mro__ for name in vars(base).get("__annotations__", {})}
    return tuple(name for name in members if not hasattr(kind, name) and name not in fields)


def _hints(function: Callable[..., object]) -> dict[str, object]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        where = f"{function.__module__}.{function.__qualname__}"
        raise ConfigurationException(
            [f"{where}: the type {error.name} is not known at run time; import it outside `if TYPE_CHECKING`."]
        ) from None


def _need(parameter: inspect.Parameter, hint: object) -> Need:
    wanted, optional = _without_none(hint)
    return Need(parameter.name, wanted, optional, has_default=parameter.default is not parameter.empty)


def _without_none(hint: object) -> tuple[object, bool]:
    if get_origin(hint) is Annotated:
        return _without_none(get_args(hint)[0])
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    parts = [part for part in get_args(hint) if part is not NoneType]
    wanted = parts[0] if len(parts) == 1 else hint
    return wanted, NoneType in get_args(hint)


def _derives_from(kind: object, wanted: object) -> bool:
    # Every class is an object, and a StrEnum is a str: nobody means these.
    if not isinstance(kind, type) or getattr(wanted, "__module__", "") == "builtins":
        return False
    parents = (parent for base in kind.__mro__ for parent in (base, *vars(base).get("__orig_bases__", ())))
    return any(parent == wanted for parent in parents)


def _path_text(path: tuple[tuple[Bean, Need], ...]) -> str:
    return " > ".join(f"{bean.label}({need.name}: {type_name(need.wanted)})" for bean, need in path)
