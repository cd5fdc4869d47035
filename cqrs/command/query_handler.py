"""Base classes of the handlers of queries; import them from `cqrs.query.handler`.

They lie beside the registry that both buses share: the query room stands on this one, and not the other way round.
"""

from typing import TypeVar, cast

from cqrs.command.lifecycle import ContextAwareHandler, MessageHandler
from cqrs.command.message_types import message_class
from cqrs.decorators import handler_options
from cqrs.types import Query

Q = TypeVar("Q", bound=Query[object])
R = TypeVar("R")


class QueryHandler(MessageHandler[Q, R]):
    """Answer one type of query: subclass it as `QueryHandler[MyQuery, ItsResult]` and override `do_handle`."""

    def get_query_type(self) -> type[Q]:
        """Return the class of the queries this answers, told from its type arguments or `do_handle`'s annotation.

        Raises:
            ConfigurationException: it cannot be told.
        """
        return cast("type[Q]", message_class(self, MessageHandler, Query))

    def supports_caching(self) -> bool:
        """Return whether results are kept: `cacheable` of the decorator unless overridden."""
        return handler_options(self).cacheable

    def get_cache_ttl_seconds(self) -> int | None:
        """Return the seconds a result is kept, 0 for not at all, None for the bus's default.

        It is `cache_ttl` of the decorator unless overridden.
        """
        return handler_options(self).cache_ttl


class ContextAwareQueryHandler(ContextAwareHandler[Q, R], QueryHandler[Q, R]):
    """Answer one type of query for a user: override `do_handle_with_context`.

    Such queries are asked by `bus.query_with_context(query, context)`. Cached results are kept for each user apart.
    """
