"""The settings of topics and groups."""

from collections.abc import Mapping

from pydantic import Field
from pydantic_settings import BaseSettings


class TopicSettings(BaseSettings):
    """Hold the settings of topics and groups; `ServiceSettings` has them."""

    kafka_group_id: str = Field(default="service", min_length=1, description="The consumer group")
    command_topics: tuple[str, ...] = Field(default=(), description="Topics whose records are commands")
    retry_topics: dict[str, tuple[int, ...]] = Field(
        default={}, description="For a command topic: milliseconds that failed records wait in topics of their own"
    )

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the topics of each group."""
        return {self.kafka_group_id: self.command_topics}
