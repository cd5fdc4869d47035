"""Open the database that the settings name."""

from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.config.settings import ServiceSettings
from cqrs.sql.engine import EngineOptions, create_engine


def open_engine(settings: ServiceSettings) -> AsyncEngine:
    """Make the engine of a service; no connection is opened yet.

    Raises:
        ConfigurationException: DATABASE_URL names no supported async driver.
    """
    options = EngineOptions(
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        pool_timeout=settings.database_pool_timeout_seconds,
        connect_timeout=settings.database_connect_timeout_seconds,
        statement_timeout=settings.database_statement_timeout_seconds,
        busy_timeout=settings.database_busy_timeout_seconds,
    )
    return create_engine(settings.used_database_url, options)
