"""Dependency injection: `@service` classes and handlers, found by scanning, wired by the types of their constructors.

The wiring is worked out before anything is made, so that everything wrong with it is one error at start; dishka then
makes each object once. For one type the later of these wins: defaults, scanned classes, instances that the runtime
gives, and what the user chose by a configuration of their own or a dishka provider.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType, TracebackType
from typing import Self, TypeVar, cast, overload

from dishka import AsyncContainer, Provider, Scope, make_async_container
from dishka.exception_base import DishkaError

from cqrs.decorators import handler_kind
from cqrs.exceptions import ConfigurationException
from cqrs.scanning import scan
from cqrs.wiring import Bean, Level, Wiring, missing_members, needs_of, result_of, type_name

__all__ = ["Container", "Provider", "Scope", "bean", "is_service", "service"]

T = TypeVar("T")
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., object])

_SERVICE = "__cqrs_service__"
_BEAN = "__cqrs_bean__"


@overload
def service(kind: C, /) -> C: ...


@overload
def service(*, provides: type | Sequence[type] = ()) -> Callable[[C], C]: ...


def service(kind: C | None = None, /, *, provides: type | Sequence[type] = ()) -> C | Callable[[C], C]:
    """Mark a class as one that the container makes, bare or with arguments, above or below other decorators.

    The marker holds for the class itself, not for its subclasses.

    Args:
        kind: The class, when the decorator is used bare.
        provides: The port or ports it stands for; its own class and its bases need no mention.
    """
    ports = (provides,) if isinstance(provides, type) else tuple(provides)

    def mark(marked: C) -> C:
        setattr(marked, _SERVICE, ports)
        return marked

    return mark if kind is None else mark(kind)


def is_service(kind: type) -> bool:
    """Say whether `kind` itself is marked, by `@service` or as a handler."""
    return _SERVICE in vars(kind) or handler_kind(kind) is not None


def bean(method: F) -> F:
    """Mark a method of a configuration class: what it returns stands for the type it declares.

    Its parameters are wired like a constructor's. A method that may return None says so in its type.
    """
    setattr(method, _BEAN, True)
    return method


class Container:
    """Hold the objects of a service, each made once, when it is first needed.

    Args:
        packages: Packages, by name or module, that are scanned for marked classes.
        services: Further classes to make, marked or not.
        instances: Objects that exist already, by the type or port they stand for.
        defaults: Configurations whose beans stand back for any other.
        configurations: Configurations whose beans come before any other.
        providers: dishka providers, whose objects come before any other too; their scope is `Scope.APP`.

    Raises:
        ConfigurationException: everything that is wrong with the wiring, all at once.
    """

    def __init__(
        self,
        *,
        packages: Iterable[str | ModuleType] = (),
        services: Iterable[type] = (),
        instances: Mapping[type, object] | None = None,
        defaults: Iterable[object] = (),
        configurations: Iterable[object] = (),
        providers: Iterable[Provider] = (),
    ) -> None:
        chosen = tuple(providers)
        scanned = dict.fromkeys((*scan(packages, is_service), *services))
        described = (
            *(_beans_of(one, Level.DEFAULT) for one in defaults),
            *(_class_beans(kind) for kind in scanned),
            *(_given(kind, instance) for kind, instance in (instances or {}).items()),
            *(_beans_of(one, Level.CHOSEN) for one in configurations),
            *(_provided(provider) for provider in chosen),
        )
        self._wiring = Wiring(_sound(described))
        self._wiring.check()
        self._order = tuple(one.key for one in self._wiring.live if one.make is not None)
        self._dishka = _dishka(self._wiring, chosen)

    async def get(self, kind: type[T]) -> T:
        """Return the object that stands for `kind`.

        Raises:
            ConfigurationException: nothing or more than one object does, or the one that does answered None.
        """
        found = self._wiring.candidates(kind)
        if len(found) != 1:
            labels = " and ".join(one.label for one in found) or "nothing"
            raise ConfigurationException([f"{labels} in the container stands for {type_name(kind)}; one has to."])
        return cast("T", _present(await self._dishka.get(found[0].key), found[0]))

    async def find(self, kind: type[T]) -> T | None:
        """Return the object that stands for `kind`, or None when there is none.

        Raises:
            ConfigurationException: more than one object does.
        """
        found = self._wiring.candidates(kind)
        if not found or (len(found) == 1 and await self._dishka.get(found[0].key) is None):
            return None
        return await self.get(kind)

    async def start(self) -> tuple[object, ...]:
        """Make everything that is not made yet and return it, in the order in which it was found."""
        made = [await self._dishka.get(key) for key in self._order]
        return tuple(one for one in made if one is not None)

    async def close(self) -> None:
        """Release what generators of dishka providers hold; further calls do nothing."""
        await self._dishka.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _sound(described: Iterable[Iterator[Bean]]) -> list[Bean]:
    beans: list[Bean] = []
    problems: list[str] = []
    for each in described:
        try:
            beans.extend(each)
        except ConfigurationException as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationException(problems)
    return beans


def _class_beans(kind: type) -> Iterator[Bean]:
    label = kind.__qualname__
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    if abstract:
        raise ConfigurationException([f"{label} cannot be made: it leaves {', '.join(sorted(abstract))} abstract."])
    ports: tuple[type, ...] = vars(kind).get(_SERVICE, ())
    for port in ports:
        lacking = missing_members(kind, port)
        if lacking or (lacking is None and not issubclass(kind, port)):
            detail = f"it lacks {', '.join(lacking)}" if lacking else "it is no subclass of it"
            raise ConfigurationException([f"{label} is marked to provide {type_name(port)}, but {detail}."])
    yield Bean(
        kind, Level.SCANNED, label, make=kind, needs=needs_of(inspect.getattr_static(kind, "__init__")), ports=ports
    )


def _beans_of(configuration: object, level: Level) -> Iterator[Bean]:
    owner = type(configuration)
    names = dict.fromkeys(name for base in reversed(owner.__mro__) for name, it in vars(base).items() if _is_bean(it))
    for name in names:
        method: Callable[..., object] = getattr(configuration, name)
        label = f"{owner.__qualname__}.{name}"
        yield Bean(result_of(method), level, label, make=method, needs=needs_of(method))


def _is_bean(attribute: object) -> bool:
    return getattr(attribute, _BEAN, False) is True


def _given(kind: type, instance: object) -> Iterator[Bean]:
    label = f"the given {type_name(kind)}"
    yield Bean(kind, Level.GIVEN, label, make=lambda: instance, nature=type(instance))


def _provided(provider: Provider) -> Iterator[Bean]:
    keys = [made.provides for made in provider.factories]
    keys += [alias.provides for alias in provider.aliases]
    keys += [variable.provides for variable in provider.context_vars]
    for wanted in dict.fromkeys(key.type_hint for key in keys):
        yield Bean(wanted, Level.CHOSEN, type(provider).__qualname__, make=None)


def _dishka(wiring: Wiring, chosen: Sequence[Provider]) -> AsyncContainer:
    wired = Provider(scope=Scope.APP)
    for one in wiring.live:
        if one.make is not None:
            wired.provide(_factory(one, wiring.links(one)), provides=one.key)
    for port in _wanted_by(chosen):
        found = wiring.candidates(port)
        if len(found) == 1 and found[0].key != port:
            wired.alias(cast("type", found[0].key), provides=port)
    try:
        return make_async_container(wired, *chosen)
    except DishkaError as error:
        raise ConfigurationException([f"The dishka providers do not fit: {error}"]) from error


def _wanted_by(chosen: Sequence[Provider]) -> set[object]:
    made = [factory for provider in chosen for factory in provider.factories]
    return {key.type_hint for each in made for key in (*each.dependencies, *each.kw_dependencies.values())}


def _factory(made: Bean, links: Mapping[str, Bean]) -> Callable[..., object]:
    """Return a function of the needs that have a bean, typed by the beans' own keys, as dishka reads them."""
    needs = {need.name: need for need in made.needs}
    absent = {name: None for name, need in needs.items() if name not in links and not need.has_default}

    def make(**found: object) -> object:
        for name, value in found.items():
            if not needs[name].optional:
                _present(value, links[name])
        # `made.make` is a class or a method: dishka providers make their own.
        return cast("Callable[..., object]", made.make)(**absent, **found)

    make.__annotations__ = {name: linked.key for name, linked in links.items()}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, annotation=linked.key) for name, linked in links.items()]
    vars(make)["__signature__"] = inspect.Signature(parameters)
    return make


def _present(value: object, made: Bean) -> object:
    if value is None:
        raise ConfigurationException([f"{made.label} answered None, and {type_name(made.key)} is needed."])
    return value
