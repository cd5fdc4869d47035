"""The settings of a service: one class, one place, one environment name each.

The environment name of a setting is its name in upper case; groups are joined by two underscores, so that
`cqrs.command.timeout` is `CQRS__COMMAND__TIMEOUT`. What code passes wins over the environment, that over `.env`,
that over the YAML file (`CONFIG_FILE`, else `service.yaml` in the working directory).
"""

import logging
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cqrs.cache.opening import cache_url_problem
from cqrs.config.delivery_settings import DeliverySettings
from cqrs.config.kafka_security import KafkaSecuritySettings
from cqrs.config.problems import settings_problems
from cqrs.config.properties import CqrsProperties
from cqrs.config.registry_settings import RegistrySettings
from cqrs.config.sources import read_sources
from cqrs.config.topic_settings import TopicSettings
from cqrs.exceptions import ConfigurationException

_logger = logging.getLogger(__name__)


def _service_name(known: dict[str, object]) -> str:
    return str(known.get("service_name", "service"))


class ServiceSettings(TopicSettings, DeliverySettings, RegistrySettings, KafkaSecuritySettings, BaseSettings):
    """Hold every setting of a service; a service subclasses it to change defaults and to add its own.

    Making one reads the sources and checks everything.

    Raises:
        ConfigurationException: every value that is wrong and every name that is unknown, all at once.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True)

    environment_groups: ClassVar[tuple[str, ...]] = (
        "CQRS__",
        "KAFKA_",
        "SCHEMA_REGISTRY_",
        "DATABASE_",
        "DELIVERY_",
        "DEAD_LETTER_",
        "RETRY_BACKOFF_",
        "RETRY_MAX_",
        "RETRY_EXHAUSTED",
        "RETRY_TOPICS",
        "BREAKER_",
        "REBALANCE_",
        "CACHE_",
        "COMMAND_TOPIC",
        "COMMAND_GROUPS",
        "TOPIC_",
        "COMMIT_",
        "MAX_MESSAGE_",
        "SHUTDOWN_",
        "SCHEMAS_",
        "STATE_",
        "MANAGEMENT_",
        "LOG_",
        "LIVENESS_",
        "READINESS_",
    )
    """Prefixes of environment variables under which an unknown name is a mistake; elsewhere a misspelt one is."""

    service_name: str = Field(
        default="service", min_length=1, description="The service's name in traces and logs; OTEL_SERVICE_NAME wins"
    )
    service_version: str | None = Field(
        default=None, min_length=1, description="Its version there and in metrics; not set: that of its package"
    )
    jaeger_url: str | None = Field(
        default=None, min_length=1, description="Where people open Jaeger: `send` prints the link to its trace"
    )

    kafka_client_id: str = Field(
        default_factory=_service_name, min_length=1, description="How the brokers' logs name this client"
    )
    kafka_group_instance_id: str | None = Field(
        default=None,
        min_length=1,
        description="This member's own name in its group (static membership): who comes back under it within the "
        "session timeout has its partitions again without a rebalance; no other member may have it",
    )
    kafka_session_timeout_ms: PositiveInt = Field(
        default=10_000, description="Silence, in milliseconds, after which the group takes a member for dead"
    )
    kafka_rebalance_timeout_ms: PositiveInt = Field(
        default=60_000, description="Milliseconds the group waits for its members to finish their work and join again"
    )
    kafka_max_poll_records: PositiveInt = Field(default=500, description="Records taken by one poll at most")
    kafka_request_timeout_ms: PositiveInt = Field(
        default=30_000, description="Milliseconds a broker may take to answer one request"
    )

    schemas_path: Path = Field(default=Path("schemas"), description="Directory of the service's own .avsc files")
    state_path: Path = Field(
        default=Path(".local"), description="Directory of the SQLite file and the file registry, when these are used"
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL with an async driver; not set: SQLite under state_path"
    )
    database_schema: Literal["exact", "allow_newer"] = Field(
        default="exact",
        description="exact: start on the database version of this release alone; allow_newer: on a later one too, for "
        "a rollback behind migrations that only added",
    )

    cache_url: SecretStr | None = Field(
        default=None,
        description="Where cacheable answers are kept: memory:// (?max_entries=10000) or redis://host:6379/0; not set: "
        "nowhere",
    )
    cache_settle_ms: int = Field(
        default=5_000,
        ge=0,
        description="Milliseconds after an event during which answers it made stale are not cached anew: what it says "
        "may not be committed yet",
    )

    database_pool_size: PositiveInt = Field(default=10, description="Database connections kept open")
    database_max_overflow: int = Field(
        default=10, ge=0, description="Database connections opened beyond those under load"
    )
    database_pool_timeout_seconds: float = Field(
        default=10.0, gt=0, description="Seconds to wait for a free database connection"
    )
    database_connect_timeout_seconds: float = Field(
        default=5.0, gt=0, description="Seconds PostgreSQL may take to accept a connection"
    )
    database_statement_timeout_seconds: float = Field(
        default=20.0,
        gt=0,
        description="Seconds PostgreSQL may take to answer one statement; keep it below CQRS__COMMAND__TIMEOUT: a "
        "handler past its own limit is not run again",
    )
    database_busy_timeout_seconds: float = Field(
        default=5.0, gt=0, description="Seconds to wait for another process to release SQLite's write lock"
    )

    management_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address that serves metrics and probes; 0.0.0.0 serves all"
    )
    management_port: int = Field(
        default=8081, ge=0, le=65535, description="Port that serves metrics and probes; 0 takes any free one"
    )

    readiness_interval_seconds: PositiveFloat = Field(
        default=5.0, description="Seconds between two looks at the database, the registry and the producer's broker"
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="The least severe level that is logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else json"
    )

    cqrs: CqrsProperties = CqrsProperties()

    @property
    def used_database_url(self) -> str:
        """Return the database's URL, password and all: the given one, or that of the SQLite file."""
        given = self.database_url
        return given.get_secret_value() if given else f"sqlite+aiosqlite:///{self.state_path / 'service.db'}"

    @field_validator("cache_url")
    @classmethod
    def _names_a_cache(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and (problem := cache_url_problem(value.get_secret_value())):
            raise ValueError(problem)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _drains_in_time(self) -> Self:
        if self.rebalance_drain_seconds * 1000 >= self.kafka_rebalance_timeout_ms:
            raise ValueError(
                f"REBALANCE_DRAIN_SECONDS ({self.rebalance_drain_seconds:g}) must be less than "
                f"KAFKA_REBALANCE_TIMEOUT_MS ({self.kafka_rebalance_timeout_ms}): a member that drains for longer is "
                "thrown out of its group."
            )
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as refused:
            readings = read_sources(cls, cls.environment_groups)
            # `from None`: pydantic's own text repeats the input, secrets included.
            raise ConfigurationException(settings_problems(cls, refused, readings)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read code, environment, `.env` and YAML, in this order of importance."""
        readings = read_sources(settings_cls, cls.environment_groups)
        if readings.foreign:
            _logger.warning("No setting of this service, so ignored: %s", ", ".join(readings.foreign))
        return (init_settings, *(InitSettingsSource(settings_cls, values) for values in readings.in_order()))
