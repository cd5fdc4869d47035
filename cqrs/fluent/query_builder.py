"""Build a query step by step, and ask it."""

from typing import Protocol, Self, TypeVar

from cqrs.fluent.message_builder import MessageBuilder
from cqrs.types import Query

Q = TypeVar("Q", bound=Query[object])
Q_co = TypeVar("Q_co", bound=Query[object], covariant=True)
R = TypeVar("R")


class QueryAsker(Protocol):
    """Answer queries; every query bus does."""

    async def query(self, query: Query[R]) -> R:
        """Answer `query`."""
        ...


class QueryBuilder(MessageBuilder[Q_co]):
    """Build a query of one type; start with `QueryBuilder.create(GetOrder)`."""

    @staticmethod
    def create(query_type: type[Q]) -> "QueryBuilder[Q]":
        """Return a builder for queries of `query_type`."""
        return QueryBuilder(query_type)

    def __init__(self, query_type: type[Q_co]) -> None:
        super().__init__(query_type)
        self._cacheable: bool | None = None
        self._cache_key: str | None = None

    def cached(self, enabled: bool = True) -> Self:
        """Set whether the result may be taken from the cache and kept there."""
        self._cacheable = enabled
        return self

    def with_cache_key(self, key: str) -> Self:
        """Set the cache key of this one query."""
        self._cache_key = key
        return self

    def build(self) -> Q_co:
        """Return a new query.

        Raises:
            TypeError: a field that the query needs is not set, or its class takes no cache key but its own.
            ValueError: the time given to `at` has no timezone, or the query's own constructor refuses a field.
        """
        query = super().build()
        if self._cacheable is not None:
            query.set_cacheable(self._cacheable)
        if self._cache_key is not None:
            query.set_cache_key(self._cache_key)
            if query.get_cache_key() != self._cache_key:
                raise TypeError(f"{type(query).__qualname__} overrides get_cache_key(), so it takes no other cache key")
        return query

    async def execute_with(self: "QueryBuilder[Query[R]]", bus: QueryAsker) -> R:
        """Build the query, ask it and return its answer.

        Raises:
            QueryProcessingException: as the bus raises it.
        """
        return await bus.query(self.build())
