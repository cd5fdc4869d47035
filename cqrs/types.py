"""Commands and queries: what they carry beside their fields, and the hooks that their bus asks.

The metadata of a message is fixed when it is created. It lives beside the fields, never among them: it enters no
equality, no hash, no cache key and no schema.
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import UTC, datetime
from inspect import getattr_static
from types import GenericAlias
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from pydantic import BaseModel

from cqrs.authorization.types import AuthorizationResult
from cqrs.context.execution_context import ExecutionContext
from cqrs.fingerprint import fingerprint, state_of
from cqrs.metadata import KEY, Metadata, adapt_to_pydantic, change, is_model, metadata_of, restored, revive
from cqrs.validation.types import ValidationResult

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

_NAME = "__cqrs_declared_name__"
_ALIASES = "__cqrs_declared_aliases__"


if TYPE_CHECKING:

    class _Returning(Generic[R_co]):
        """Name the result type."""

else:

    class _Returning:
        # Not typing.Generic: pydantic warns of every model that has it before BaseModel among its bases.
        __class_getitem__ = classmethod(GenericAlias)


class _Message:
    """Be what a command and a query have in common."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        message = super().__new__(cls)
        object.__setattr__(message, KEY, Metadata())
        return message

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if is_model(cls):
            adapt_to_pydantic(cast("type[BaseModel]", cls), _Message.validate)

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        # A frozen dataclass with slots names its fields as its whole state, which leaves the metadata behind.
        make, arguments, *rest = cast("tuple[object, ...]", super().__reduce_ex__(protocol))  # type: ignore[arg-type]
        return (revive, (metadata_of(self), make, arguments), *rest)

    def get_correlation_id(self) -> str | None:
        """Return the correlation id, or None until a bus or the sender has set one."""
        return metadata_of(self).correlation_id

    def set_correlation_id(self, correlation_id: str | None) -> None:
        """Set the correlation id under which the bus is to run this message."""
        change(self, "correlation_id", correlation_id)

    def get_timestamp(self) -> datetime:
        """Return when the message was created, in UTC."""
        return metadata_of(self).timestamp

    def get_metadata(self) -> dict[str, object]:
        """Return a copy of the arbitrary key-value pairs."""
        return dict(metadata_of(self).entries)

    def set_metadata(self, key: str, value: object) -> None:
        """Set one key-value pair."""
        change(self, "entries", {**metadata_of(self).entries, key: value})

    async def validate(self) -> ValidationResult:
        """Say whether the message keeps the business rules; override it to check them."""
        return ValidationResult.success()

    async def authorize(self) -> AuthorizationResult:
        """Say whether the message may be carried out; override it to decide."""
        return AuthorizationResult.success()

    async def authorize_with_context(self, ctx: ExecutionContext) -> AuthorizationResult:
        """Say whether the message may be carried out for the user of `ctx`; asks `authorize()` unless overridden."""
        return await self.authorize()

    # Whoever finds this mark may ask `authorize()` itself, which spares a coroutine at every message.
    authorize_with_context.asks_authorize = True  # type: ignore[attr-defined]


class Command(_Message, _Returning[R_co]):
    """Be a write operation whose result is an `R`.

    Subclass it as a frozen dataclass, a plain class or beside pydantic's BaseModel.
    """

    def get_command_id(self) -> str:
        """Return the id, a UUID: made at creation, or the id of the message that brought the command."""
        return metadata_of(self).identity

    def get_initiated_by(self) -> str | None:
        """Return who initiated the command, or None."""
        return metadata_of(self).initiated_by

    def set_initiated_by(self, user_id: str | None) -> None:
        """Set who initiated the command."""
        change(self, "initiated_by", user_id)

    def get_cache_key(self) -> str | None:
        """Return the key of the cached query result that this command makes stale, or None.

        The bus evicts it after success. It is the query's own `get_cache_key()`, with the handler's
        `cache_key_prefix` and a colon before it where there is one.
        """
        return None


class Query(_Message, _Returning[R_co]):
    """Be a read operation whose result is an `R`.

    Subclass it as a frozen dataclass, a plain class or beside pydantic's BaseModel.
    """

    def get_query_id(self) -> str:
        """Return the id, a UUID made at creation."""
        return metadata_of(self).identity

    def is_cacheable(self) -> bool:
        """Return whether the result may be taken from the cache and kept there; True unless set otherwise."""
        return metadata_of(self).cacheable

    def set_cacheable(self, cacheable: bool) -> None:
        """Set whether the result may be taken from the cache and kept there."""
        change(self, "cacheable", cacheable)

    def set_cache_key(self, key: str | None) -> None:
        """Set the cache key of this one query; None goes back to the computed one."""
        change(self, "cache_key", key)

    def get_cache_key(self) -> str | None:
        """Return the cache key; None keeps the result out of the cache.

        It is `ClassName:` and 16 hexadecimal digits of a SHA-256 over the fields for dataclasses and pydantic models,
        the same in every process, and the class name for any other class.

        Raises:
            TypeError: a field has no stable content; override this method then.
        """
        chosen = metadata_of(self).cache_key
        if chosen is not None:
            return chosen
        name = type(self).__name__
        has_fields = is_model(type(self)) or is_dataclass(self)
        return f"{name}:{state_fingerprint(self)}" if has_fields else name


def state_fingerprint(query: Query[object]) -> str | None:
    """Return a digest of the query's class and attributes, or None when it has no attributes.

    Raises:
        TypeError: an attribute has no stable content.
    """
    state = state_of(query, leave_out=frozenset({KEY}))
    if not state and not is_dataclass(query):
        return None
    return fingerprint((type(query).__module__, type(query).__qualname__, state))


def chosen_cache_key(query: Query[object]) -> str | None:
    """Return the key that `set_cache_key` gave this one query, or None."""
    return metadata_of(query).cache_key


def overrides_cache_key(query_type: type[Query[object]]) -> bool:
    """Say whether a query class computes its cache key itself."""
    return query_type.get_cache_key is not Query.get_cache_key


def message_type(name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[type[T]], type[T]]:
    """Declare the wire name of a command or event class, and the names it was known by before.

    The declaration holds for the class itself, not for its subclasses.

    Raises:
        ValueError: `name` or an alias is empty.
    """
    if not all((name, *aliases)):
        raise ValueError(f'message_type({name!r}, aliases={aliases!r}): give full names such as "orders.CreateOrder"')

    def declare(cls: type[T]) -> type[T]:
        setattr(cls, _NAME, name)
        setattr(cls, _ALIASES, tuple(aliases))
        return cls

    return declare


def declared_name(cls: type) -> str | None:
    """Return the wire name: the one of `@message_type`, else a class attribute `event_type` that is a str, else None.

    A name belongs to the class that declares it; a subclass declares its own.
    """
    name = vars(cls).get(_NAME, vars(cls).get("event_type"))
    return name if isinstance(name, str) else None


def declared_aliases(cls: type) -> tuple[str, ...]:
    """Return the earlier wire names that `@message_type` declares."""
    aliases: tuple[str, ...] = vars(cls).get(_ALIASES, ())
    return aliases


def message_name(cls: type) -> str:
    """Return the name under which spans, metrics and logs speak of a class: its wire name, else its own name."""
    return declared_name(cls) or cls.__name__


def overrides_hook(cls: type, name: str) -> bool:
    """Say whether a message class has a hook of its own: `validate`, `authorize` or `authorize_with_context`."""
    return getattr_static(cls, name, None) is not getattr_static(_Message, name)


def restore_metadata(
    message: Command[object] | Query[object],
    *,
    message_id: str | None = None,
    correlation_id: str | None = None,
    timestamp: datetime | None = None,
) -> None:
    """Give a message the metadata it had before it travelled; what is None stays as it is.

    Args:
        message: The message, just decoded.
        message_id: Its id, so that ids derived from it repeat when it is delivered again.
        correlation_id: The correlation id it was sent under.
        timestamp: When it was created; timezone-aware, and kept in UTC.

    Raises:
        ValueError: `timestamp` is naive.
    """
    if timestamp is not None and timestamp.tzinfo is not UTC:
        if timestamp.tzinfo is None:
            raise ValueError(f"the timestamp {timestamp.isoformat()} has no timezone; give an aware datetime")
        timestamp = timestamp.astimezone(UTC)
    restored(message, message_id, correlation_id, timestamp)
