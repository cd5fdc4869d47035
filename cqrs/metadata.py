"""What a message carries beside its fields, and how it is kept on every kind of class.

The metadata lies in the instance's `__dict__` under one name that is no field: it survives frozen and slotted
dataclasses, `copy` and `pickle`, and enters no equality, hash, cache key or schema.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from inspect import getattr_static
from typing import Protocol, cast

from pydantic import BaseModel

KEY = "_cqrs_metadata"
"""The name in a message's `__dict__` under which its metadata lies."""


class Metadata:
    """Hold the metadata of one message; never changed in place, so that copies part ways."""

    __slots__ = ("cache_key", "cacheable", "correlation_id", "entries", "entropy", "initiated_by", "timestamp", "told")

    def __init__(self) -> None:
        self.entropy = os.urandom(16)  # the id is fixed now and written out when it is asked for: that costs 2 us
        self.told: str | None = None
        self.timestamp = datetime.now(UTC)
        self.correlation_id: str | None = None
        self.initiated_by: str | None = None
        self.entries: dict[str, object] = {}
        self.cacheable = True
        self.cache_key: str | None = None

    def changed(self, name: str, value: object) -> "Metadata":
        """Return a copy with one entry changed."""
        other = Metadata.__new__(Metadata)
        # By hand: every bus writes the correlation id, and copy.copy() would take twenty times as long.
        other.entropy, other.told, other.timestamp = self.entropy, self.told, self.timestamp
        other.correlation_id, other.initiated_by, other.entries = self.correlation_id, self.initiated_by, self.entries
        other.cacheable, other.cache_key = self.cacheable, self.cache_key
        setattr(other, name, value)
        return other

    @property
    def identity(self) -> str:
        """Return the id."""
        if self.told is None:
            digits = self.entropy.hex()
            variant = "89ab"[self.entropy[8] & 3]  # RFC 9562, section 5.4; uuid.UUID writes the same in 2 us more
            self.told = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        return self.told


def metadata_of(message: object) -> Metadata:
    """Return the metadata of a message; fix it now where it has none."""
    held: Metadata | None = message.__dict__.get(KEY)
    if held is None:  # something replaced the whole __dict__, as pydantic's own dataclasses do
        held = Metadata()
        object.__setattr__(message, KEY, held)
    return held


def change(message: object, name: str, value: object) -> None:
    """Set one entry of a message's metadata, frozen or not."""
    message.__dict__[KEY] = metadata_of(message).changed(name, value)


def correlate_with(message: object, current: str | None) -> str:
    """Return the correlation id of a message; one that has none is given `current`, or else its own id: a root's."""
    held = metadata_of(message)
    if held.correlation_id is not None:
        return held.correlation_id
    chosen = current or held.identity
    message.__dict__[KEY] = held.changed("correlation_id", chosen)
    return chosen


def revive(metadata: Metadata, make: Callable[..., object], arguments: tuple[object, ...]) -> object:
    """Make a message anew with the metadata it had: the second half of `__reduce_ex__`."""
    message = make(*arguments)
    object.__setattr__(message, KEY, metadata)
    return message


def is_model(cls: type) -> bool:
    """Say whether `cls` is a pydantic model."""
    return issubclass(cls, BaseModel)


class _Constructor(Protocol):
    def __call__(self, instance: object, /, *args: object, **kwargs: object) -> None: ...


def adapt_to_pydantic(cls: type[BaseModel], validate: Callable[..., object]) -> None:
    """Give `cls` back what BaseModel takes away: its `validate` hides the hook, and creation replaces `__dict__`."""
    if getattr_static(cls, "validate", None) is BaseModel.__dict__["validate"]:
        type.__setattr__(cls, "validate", validate)
    if "__init__" in vars(cls) or not hasattr(cls.__init__, KEY):
        cls.__init__ = _keeping_metadata(cls.__init__)  # type: ignore[method-assign]
    if "model_construct" in vars(cls) or not hasattr(cls.model_construct, KEY):
        _wrap_model_construct(cls)


def _keeping_metadata(init: Callable[..., None]) -> _Constructor:
    @wraps(init)
    def __init__(self: object, /, *args: object, **kwargs: object) -> None:  # noqa: N807 - it takes that very place
        metadata = metadata_of(self)
        init(self, *args, **kwargs)
        object.__setattr__(self, KEY, metadata)

    setattr(__init__, KEY, True)
    # wraps() copied the mark that lets pydantic leave __init__ out.
    vars(__init__).pop("__pydantic_base_init__", None)
    return __init__


def _wrap_model_construct(cls: type[BaseModel]) -> None:
    construct = cls.model_construct.__func__  # type: ignore[attr-defined]

    @wraps(construct)
    def model_construct(owner: type[BaseModel], *args: object, **kwargs: object) -> object:
        message: object = construct(owner, *args, **kwargs)
        metadata_of(message)
        return message

    setattr(model_construct, KEY, True)
    type.__setattr__(cls, "model_construct", classmethod(cast("Callable[..., object]", model_construct)))
