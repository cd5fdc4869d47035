"""The settings of the order service: the general ones with its own defaults."""

from pydantic import Field, PositiveInt

from cqrs.config.settings import ServiceSettings

COMMANDS = "orders.commands"
EVENTS = "orders.events"
PARTITIONS = 3


class OrderSettings(ServiceSettings):
    """Hold every setting of the order service."""

    service_name: str = Field(
        default="orders", min_length=1, description="The service's name in traces and logs; OTEL_SERVICE_NAME wins"
    )
    kafka_group_id: str = Field(default="orders", min_length=1, description="The consumer group")
    command_topics: tuple[str, ...] = Field(default=(COMMANDS,), description="Topics whose records are commands")
    topics: dict[str, PositiveInt] = Field(
        default={COMMANDS: PARTITIONS, f"{COMMANDS}-dlt": PARTITIONS, EVENTS: PARTITIONS},
        description="Every topic of the service and its partitions: made when embedded, else checked at start",
    )
