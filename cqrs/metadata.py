"""What a message carries beside its fields, and how it is kept on every kind of class.

The metadata lies in the instance's `__dict__` under one name that is no field: it survives frozen and slotted
dataclasses, `copy` and `pickle`, and enters no equality, hash, cache key or schema.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from hashlib import blake2b
from inspect import getattr_static
from itertools import count
from typing import Protocol, cast

from pydantic import BaseModel

KEY = "_cqrs_metadata"
"""The name in a message's `__dict__` under which its metadata lies."""


_numbers = count()
_seed = os.urandom(32)


def _seed_anew() -> None:
    global _seed
    _seed = os.urandom(32)


os.register_at_fork(after_in_child=_seed_anew)  # parent and child count on from the same number


class Metadata:
    """Hold the metadata of one message; never changed in place, so that copies part ways."""

    __slots__ = ("cache_key", "cacheable", "correlation_id", "entries", "entropy", "initiated_by", "made_at", "told")

    def __init__(self) -> None:
        # The id is fixed now and written out when it is asked for: nobody asks for that of a message which brings one.
        self.entropy = (_seed, next(_numbers))
        self.told: str | None = None
        self.made_at: float | datetime = time.time()
        self.correlation_id: str | None = None
        self.initiated_by: str | None = None
        self.entries: dict[str, object] = {}
        self.cacheable = True
        self.cache_key: str | None = None

    def changed(self, name: str, value: object) -> "Metadata":
        """Return a copy with one entry changed."""
        other = self.copied()
        setattr(other, name, value)
        return other

    def copied(self) -> "Metadata":
        """Return a copy."""
        other = Metadata.__new__(Metadata)
        # By hand: every bus writes the correlation id, and copy.copy() would take twenty times as long.
        other.entropy, other.told, other.made_at = self.entropy, self.told, self.made_at
        other.correlation_id, other.initiated_by, other.entries = self.correlation_id, self.initiated_by, self.entries
        other.cacheable, other.cache_key = self.cacheable, self.cache_key
        return other

    @property
    def timestamp(self) -> datetime:
        """Return when the message was made, in UTC."""
        if not isinstance(self.made_at, datetime):
            self.made_at = datetime.fromtimestamp(self.made_at, UTC)  # written out when it is asked for, like the id
        return self.made_at

    @property
    def identity(self) -> str:
        """Return the id."""
        if self.told is None:
            seed, number = self.entropy
            digest = blake2b(number.to_bytes(8, "big"), key=seed, digest_size=16).digest()
            digits, variant = digest.hex(), "89ab"[digest[8] & 3]  # RFC 9562, section 5.4
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


def restored(message: object, told: str | None, correlation_id: str | None, timestamp: datetime | None) -> None:
    """Set the id, the correlation id and the time of a message that came from elsewhere; what is None stays."""
    held = metadata_of(message).copied()
    held.told = told or held.told
    held.correlation_id = correlation_id or held.correlation_id
    held.made_at = timestamp or held.made_at
    message.__dict__[KEY] = held


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
