"""The tables of the order service, and the steps that lead to them."""

from cqrs.sql.migrations import Migrations
from service.adapters.sql_orders import metadata

MIGRATIONS = Migrations(metadata, "service.adapters.migrations")
