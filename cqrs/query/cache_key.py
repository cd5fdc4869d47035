"""Under which key a result is kept: the query's own, and for answers that depend on who asks, one for each asker."""

from dataclasses import dataclass, is_dataclass

from cqrs.context.execution_context import ExecutionContext
from cqrs.fingerprint import fingerprint, state_of
from cqrs.metadata import is_model
from cqrs.types import Query, chosen_cache_key, overrides_cache_key, state_fingerprint

_ASKER = ("user_id", "tenant_id", "organization_id", "session_id", "source", "client_ip", "user_agent")
_OF_ONE_REQUEST = frozenset({"request_id", "created_at"})


@dataclass(frozen=True, slots=True)
class Place:
    """Say where a result is kept.

    Attributes:
        key: The key that `clear_cache` and commands name.
        asker: A digest of the context; None for an answer that is the same for all.
    """

    key: str
    asker: str | None = None


def place_of(query: Query[object], prefix: str | None, context: ExecutionContext | None) -> Place | None:
    """Return where the result of `query` is kept, or None when its key is None or empty.

    Args:
        query: The query.
        prefix: What stands before the key and a colon, or None.
        context: The context that the answer depends on, or None when it does not.

    Raises:
        TypeError: the query or the context holds something without stable content.
    """
    key = _key_of(query)
    if not key:
        return None
    return Place(f"{prefix}:{key}" if prefix else key, None if context is None else asker_digest(context))


def asker_digest(context: ExecutionContext) -> str:
    """Return a digest of all of a context but the id and time of its one request: an answer may depend on any of it.

    Raises:
        TypeError: a property has no stable content.
    """
    told = {name: getattr(context, name) for name in (*_ASKER, "properties", "feature_flags")}
    return fingerprint((told, state_of(context, leave_out=_OF_ONE_REQUEST)))


def _key_of(query: Query[object]) -> str | None:
    key = chosen_cache_key(query)
    if key is not None:
        return key
    key = query.get_cache_key()
    if is_dataclass(query) or is_model(type(query)) or overrides_cache_key(type(query)):
        return key
    # The guide's key of a plain class is its name alone; two of its queries that differ must not share an answer.
    state = state_fingerprint(query)
    return key if state is None or key is None else f"{key}:{state}"
