"""Collect the fields and the metadata of a message before it is made: what both builders share."""

import difflib
import inspect
from datetime import datetime
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from cqrs.types import Command, Query, restore_metadata

M_co = TypeVar("M_co", bound=Command[object] | Query[object], covariant=True)


class MessageBuilder(Generic[M_co]):
    """Collect what a message is made of; a builder can build more than once.

    Args:
        message_type: The class of the message.
    """

    def __init__(self, message_type: type[M_co]) -> None:
        self._message_type = message_type
        self._known = field_names(message_type)
        self._fields: dict[str, object] = {}
        self._metadata: dict[str, object] = {}
        self._correlation_id: str | None = None
        self._timestamp: datetime | None = None

    def with_field(self, name: str, value: object) -> Self:
        """Set one field.

        Raises:
            TypeError: the message has no such field; the error names the one that was probably meant.
        """
        if self._known is not None and name not in self._known:
            raise TypeError(_unknown_field(self._message_type, name, self._known))
        self._fields[name] = value
        return self

    def with_fields(self, **fields: object) -> Self:
        """Set several fields.

        Raises:
            TypeError: the message has no such field; the error names the one that was probably meant.
        """
        for name, value in fields.items():
            self.with_field(name, value)
        return self

    def correlated_by(self, correlation_id: str) -> Self:
        """Set the correlation id."""
        self._correlation_id = correlation_id
        return self

    def at(self, timestamp: datetime) -> Self:
        """Set when the message was created; `build` refuses a time without a timezone."""
        self._timestamp = timestamp
        return self

    def with_metadata(self, key: str, value: object) -> Self:
        """Add one key-value pair beside the fields."""
        self._metadata[key] = value
        return self

    def build(self) -> M_co:
        """Return a new message.

        Raises:
            TypeError: a field that the message needs is not set.
            ValueError: the time given to `at` has no timezone, or the message's own constructor refuses a field.
        """
        message = self._message_type(**self._fields)
        restore_metadata(message, correlation_id=self._correlation_id, timestamp=self._timestamp)
        for key, value in self._metadata.items():
            message.set_metadata(key, value)
        return message


def field_names(message_type: type) -> tuple[str, ...] | None:
    """Return the names that the class can be made with; None when its constructor takes any."""
    if message_type.__init__ is object.__init__:  # type: ignore[misc]  # compared, never called
        return ()
    parameters = inspect.signature(message_type).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    by_name = message_type.model_fields if issubclass(message_type, BaseModel) else ()
    return tuple(dict.fromkeys([*(parameter.name for parameter in parameters), *by_name]))


def _unknown_field(message_type: type, name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}."
    return f"{message_type.__qualname__} has no field {name!r}; {hint}"
