"""Find classes by importing the modules of packages."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from cqrs.exceptions import ConfigurationException


def scan(packages: Iterable[str | ModuleType], wanted: Callable[[type], bool]) -> tuple[type, ...]:
    """Return the classes of `packages` and all their modules that are `wanted`, by module, then as they are defined.

    A class counts where it is defined, not where it is imported. `__main__` modules are left alone: importing them runs
    them.

    Raises:
        ConfigurationException: modules that cannot be imported, all at once.
    """
    problems: list[str] = []
    modules = [module for package in packages for module in _modules(package, problems)]
    if problems:
        raise ConfigurationException(tuple(dict.fromkeys(problems)))
    classes = (kind for module in modules for kind in vars(module).values() if _is_defined_in(kind, module))
    return tuple(dict.fromkeys(kind for kind in classes if wanted(kind)))


def _modules(package: str | ModuleType, problems: list[str]) -> Iterator[ModuleType]:
    module = package if isinstance(package, ModuleType) else _imported(package, problems)
    if module is None:
        return
    yield module
    for found in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda found: found.name):
        if found.name != "__main__":
            yield from _modules(f"{module.__name__}.{found.name}", problems)


def _imported(name: str, problems: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything when it runs; the start stops and says so
        problems.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
        return None


def _is_defined_in(kind: object, module: ModuleType) -> bool:
    return isinstance(kind, type) and kind.__module__ == module.__name__
