"""Open the schema registry that the settings name."""

from cqrs.avro.confluent_registry import ConfluentSchemaRegistry
from cqrs.avro.registry_login import registry_login
from cqrs.config.settings import ServiceSettings


def open_registry(settings: ServiceSettings, url: str) -> ConfluentSchemaRegistry:
    """Make the client of the registry at `url`; nothing is asked yet.

    Raises:
        ConfigurationException: the address is none.
    """
    login = registry_login(settings)
    return ConfluentSchemaRegistry(url, timeout_seconds=settings.schema_registry_timeout_seconds, login=login)
