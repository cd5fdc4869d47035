"""Have one function of aiokafka build other classes than its own, for us alone."""

from collections.abc import Callable
from types import FunctionType
from typing import TypeVar, cast

from cqrs.exceptions import ConfigurationException

F = TypeVar("F", bound=Callable[..., object])


def rebound(function: F, **names: object) -> F:
    """Return a copy of `function` that finds other objects under some of its global names.

    Raises:
        ConfigurationException: it does not use one of the names: another version of its library.
    """
    original = cast(FunctionType, function)
    unused = sorted(set(names) - set(original.__code__.co_names))
    if unused:
        raise ConfigurationException(
            [
                f"{original.__module__}.{original.__qualname__} does not use {', '.join(unused)}; "
                "install a version of aiokafka within the range that pyproject.toml names."
            ]
        )
    copy = FunctionType(
        original.__code__,
        {**original.__globals__, **names},
        original.__name__,
        original.__defaults__,
        original.__closure__,
    )
    copy.__kwdefaults__ = original.__kwdefaults__
    return cast(F, copy)
