"""Base classes of the handlers of queries."""

from cqrs.command.query_handler import ContextAwareQueryHandler, QueryHandler

__all__ = ["ContextAwareQueryHandler", "QueryHandler"]
