"""Tell from a handler's class which message it handles and which result it promises."""

import sys
from types import NoneType, UnionType
from typing import Any, ForwardRef, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from cqrs.exceptions import ConfigurationException

Substitution = dict[object, object]


def message_class(handler: object, base: type, root: type) -> type:
    """Return the message class that a handler handles.

    Args:
        handler: A handler or a handler class.
        base: The generic ancestor whose first type parameter is the message.
        root: What the message must be a subclass of: Command or Query.

    Raises:
        ConfigurationException: it cannot be told, or is no such subclass.
    """
    found = type_argument(handler, base, 0)
    methods = ("do_handle", "do_handle_with_context")
    found = found or next((told for each in methods if (told := annotated_argument(handler, each))), None)
    kind = get_origin(found) or found
    if isinstance(kind, type) and issubclass(kind, root) and kind is not root:
        return kind
    cls = handler if isinstance(handler, type) else type(handler)
    raise ConfigurationException(
        [
            f"{cls.__qualname__} does not tell which {root.__name__.lower()} it handles (found {found!r}); write "
            f"class {cls.__name__}({root.__name__}Handler[M, Result]), M being a subclass of {root.__name__}."
        ]
    )


def type_argument(handler: object, base: type, position: int) -> object | None:
    """Return what `handler` gives for one type parameter of its generic ancestor `base`, or None.

    It follows inheritance from generic and concrete handlers, and `Handler[X]()` on a generic one.
    """
    alias = getattr(handler, "__orig_class__", None)
    if alias is not None:
        return _found(_argument(get_origin(alias), base, position, _substitution(alias, {})))
    cls = handler if isinstance(handler, type) else type(handler)
    return _found(_argument(cls, base, position, {}))


def annotated_argument(handler: object, method: str) -> object | None:
    """Return the annotation of the first parameter of a method, or None."""
    function = getattr(handler if isinstance(handler, type) else type(handler), method, None)
    try:
        hints = get_type_hints(function) if function is not None else {}
    except (NameError, TypeError):  # annotations that name what only a type checker sees tell nothing
        return None
    return _found(next((hint for name, hint in hints.items() if name != "return"), None))


def checkable(declared: object) -> tuple[type, ...] | None:
    """Return the classes of which a result declared so is an instance; None when that cannot be told."""
    if declared is None or declared is NoneType:
        return (NoneType,)
    if isinstance(declared, NewType):
        return checkable(declared.__supertype__)
    origin = get_origin(declared)
    if origin in (Union, UnionType):
        return _checkable_union(get_args(declared))
    kind = origin if origin is not None else declared
    if not isinstance(kind, type) or kind in (object, Any) or getattr(kind, "_is_protocol", False):
        return None
    if is_typeddict(kind):
        return (dict,)
    # PEP 484: an int is acceptable where a float is declared, and both where a complex is.
    return {float: (float, int), complex: (complex, float, int)}.get(kind, (kind,))


def _checkable_union(members: tuple[object, ...]) -> tuple[type, ...] | None:
    kinds: tuple[type, ...] = ()
    for member in members:
        found = checkable(member)
        if found is None:
            return None
        kinds += found
    return kinds


def _argument(cls: object, base: type, position: int, known: Substitution) -> object | None:
    """Look for `base[...]` among the bases of `cls`, depth first, with the type variables of each step filled in."""
    for alias in getattr(cls, "__orig_bases__", ()) if "__orig_bases__" in vars(cls) else ():
        origin = get_origin(alias)
        if origin is base:
            argument = get_args(alias)[position]
            return _resolved(known.get(argument, argument), cast("type", cls))
        if isinstance(origin, type) and issubclass(origin, base):
            return _argument(origin, base, position, _substitution(alias, known))
    for parent in cast("type", cls).__bases__:
        if issubclass(parent, base) and parent is not base:
            found = _argument(parent, base, position, {})
            if found is not None:
                return found
    return None


def _substitution(alias: object, known: Substitution) -> Substitution:
    parameters = _parameters(get_origin(alias))
    return {
        parameter: known.get(argument, argument)
        for parameter, argument in zip(parameters, get_args(alias), strict=False)
    }


def _parameters(cls: object) -> tuple[object, ...]:
    declared: tuple[object, ...] = getattr(cls, "__parameters__", ())
    if declared:
        return declared
    mentioned = (each for alias in getattr(cls, "__orig_bases__", ()) for each in getattr(alias, "__parameters__", ()))
    return tuple(dict.fromkeys(mentioned))


def _resolved(argument: object, owner: type) -> object:
    if isinstance(argument, str):
        argument = ForwardRef(argument)
    if not isinstance(argument, ForwardRef):
        return argument
    namespace = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    return namespace.get(argument.__forward_arg__, argument)


def _found(argument: object | None) -> object | None:
    if isinstance(argument, TypeVar | ForwardRef):
        return None
    return argument
