"""The classes that cached answers are made of, told from the handlers: an outside cache revives no others."""

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import get_args, get_origin

from pydantic import BaseModel

from cqrs.command.lifecycle import MessageHandler
from cqrs.command.message_types import type_argument
from cqrs.command.registry import AnyQueryHandler, Registration
from cqrs.types import Query


def kept_types(registrations: Iterable[Registration[AnyQueryHandler]]) -> frozenset[type]:
    """Return the dataclasses, pydantic models, enums and named tuples in the results of cacheable queries.

    What their fields hold is left out: it follows from their annotations.
    """
    kept = [each for each in registrations if each.handler.supports_caching()]
    declared = [type_argument(each.message_type, Query, 0) for each in kept]
    declared += [type_argument(each.handler, MessageHandler, 1) for each in kept]
    return frozenset(kind for each in declared for kind in _classes(each))


def _classes(declared: object) -> Iterator[type]:
    kind = get_origin(declared) or declared
    if isinstance(kind, type) and _is_object(kind):
        yield kind
    for argument in get_args(declared):
        yield from _classes(argument)


def _is_object(kind: type) -> bool:
    named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return is_dataclass(kind) or issubclass(kind, BaseModel | Enum) or named_tuple
