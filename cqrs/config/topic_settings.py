"""The settings of topics and of the groups that read them."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator
from pydantic_settings import BaseSettings


def _pairs(text: str) -> object:
    """Read `name=value,name=value`, or the JSON object that says the same."""
    if text.lstrip().startswith("{"):
        return json.loads(text)
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _lists(value: object) -> object:
    """Read the values of a map as lists: `name=a+b,name=c`."""
    found = _pairs(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        return found
    split = {name: each.split("+") if isinstance(each, str) else each for name, each in found.items()}
    return {name: [each] if isinstance(each, int) else each for name, each in split.items()}


class TopicSettings(BaseSettings):
    """Hold the settings of topics and groups; `ServiceSettings` has them."""

    kafka_group_id: str = Field(default="service", min_length=1, description="The consumer group")
    command_topics: tuple[str, ...] = Field(default=(), description="Topics whose records are commands")
    command_groups: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Several groups in one process, each with its command topics: group=topic+topic,group=topic; not "
        "set: KAFKA_GROUP_ID reads COMMAND_TOPICS",
    )
    topics: dict[str, PositiveInt] = Field(
        default={},
        description="Every topic of the service and its partitions: made when embedded, else checked at start",
    )
    topic_types: dict[str, str] = Field(
        default={},
        description="For a command topic that carries one type: its name, used where a record names none",
    )
    topic_replication: int = Field(
        default=-1, ge=-1, description="Copies of each topic that `topics create` asks for; -1: the broker's default"
    )
    topic_min_insync_replicas: PositiveInt | None = Field(
        default=None, description="Copies that must acknowledge a write to a topic made here; not set: broker's default"
    )
    topic_retention_hours: dict[str, PositiveFloat] = Field(
        default={}, description="How long topics made by `topics create` keep records; not named: broker's default"
    )
    dead_letter_suffix: str = Field(
        default="-dlt", min_length=1, description="What is added to a topic's name to name its dead letters' topic"
    )
    dead_letter_retention_hours: PositiveFloat = Field(
        default=336.0, description="How long dead letters are kept, where `topics create` makes their topic"
    )
    retry_topics: dict[str, tuple[PositiveInt, ...]] = Field(
        default={},
        description="Command topics whose failed records wait in topics of their own, so long in milliseconds: "
        "orders.commands=5000+60000; order is given up",
    )

    @field_validator("command_topics", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("topics", "topic_types", "topic_retention_hours", mode="before")
    @classmethod
    def _map(cls, value: object) -> object:
        return _pairs(value) if isinstance(value, str) else value

    @field_validator("command_groups", "retry_topics", mode="before")
    @classmethod
    def _map_of_lists(cls, value: object) -> object:
        return _lists(value)

    @model_validator(mode="after")
    def _topics_in_order(self) -> Self:
        problems = [*self._group_problems(), *self._retry_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _group_problems(self) -> Iterator[str]:
        owners: dict[str, str] = {}
        for group, topics in self.command_groups.items():
            if not topics or not all(topics):
                yield f"COMMAND_GROUPS gives the group {group!r} no topic; write {group}=topic+topic"
            for topic in topics:
                other = owners.setdefault(topic, group)
                if other != group:
                    yield f"COMMAND_GROUPS has {topic!r} in {other!r} and {group!r}: each command would be run twice"
        given = set(self.command_topics) if "command_topics" in self.model_fields_set else None
        if self.command_groups and given is not None and given != set(owners):
            yield "COMMAND_TOPICS and COMMAND_GROUPS name different topics; give one of the two"

    def _retry_problems(self) -> Iterator[str]:
        for topic, delays in self.retry_topics.items():
            if not delays or any(later <= sooner for sooner, later in pairwise(delays)):
                yield f"RETRY_TOPICS of {topic!r} must grow: write {topic}=5000+60000, milliseconds"
            if topic not in self.all_command_topics:
                yield f"RETRY_TOPICS names {topic!r}, which is no command topic"

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the command topics of each group."""
        return self.command_groups or {self.kafka_group_id: self.command_topics}

    @property
    def all_command_topics(self) -> tuple[str, ...]:
        """Return the command topics of all groups."""
        return tuple(topic for topics in self.groups.values() for topic in topics)
