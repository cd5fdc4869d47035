"""The settings of delivery: how much is in work at once, how long is waited, what is given up."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings


class DeliverySettings(BaseSettings):
    """Hold the settings of delivery; `ServiceSettings` has them."""

    delivery_mode: Literal["at_least_once"] = Field(
        default="at_least_once", description="The promise: at_least_once loses nothing, repeats carry the same event id"
    )
    max_in_flight: PositiveInt = Field(default=100, description="Records in work at once, each of another key")
    sync_handler_threads: PositiveInt = Field(
        default=32, description="Handlers written without async that run at once, each in a thread"
    )
    buffer: PositiveInt = Field(default=2_000, description="Records read ahead of the work at most, waiting ones too")
    buffer_bytes: PositiveInt = Field(
        default=67_108_864, description="Their values, keys and headers at most, in bytes"
    )
    max_lead: PositiveInt = Field(
        default=10_000, description="Offsets that reading a partition may be ahead of its lowest unfinished record"
    )
    commit_interval_ms: PositiveInt = Field(default=1_000, description="Milliseconds between commits of offsets")
    commit_records: PositiveInt = Field(default=1_000, description="Records finished between commits at most")
    max_message_bytes: PositiveInt = Field(
        default=1_048_576, description="A larger record goes to the dead letters without being decoded, in bytes"
    )

    retry_max_attempts: PositiveInt = Field(
        default=10, description="How often a record that fails in a transient way is run, the first time included"
    )
    retry_max_seconds: PositiveFloat = Field(
        default=300.0, description="Seconds after its first failure within which it is run again"
    )
    retry_exhausted: Literal["skip", "halt_key"] = Field(
        default="skip",
        description="After that it goes to the dead letters: alone (skip), or all later records of its key with it, "
        "until they are redriven (halt_key)",
    )
    retry_backoff_min_ms: PositiveInt = Field(
        default=100, description="Milliseconds before a failed record runs again for the first time at most"
    )
    retry_backoff_max_ms: PositiveInt = Field(
        default=30_000, description="Milliseconds before it runs again later at most"
    )
    breaker_keys: int = Field(
        default=5,
        ge=0,
        description="So many different keys failing in a row hold their handler back for a while; 0: never",
    )

    loop_blocked_ms: PositiveInt = Field(
        default=500, description="Milliseconds that a handler may block the event loop before it is named in the log"
    )

    liveness_seconds: PositiveFloat = Field(
        default=60.0,
        description="Seconds that the event loop may stand still before the liveness probe asks for a restart",
    )

    rebalance_drain_seconds: PositiveFloat = Field(
        default=30.0, description="Seconds that work in hand may take when its partition goes to another member"
    )
    shutdown_timeout_seconds: PositiveFloat = Field(
        default=35.0, description="Seconds that finishing work in hand may take after SIGTERM"
    )

    @model_validator(mode="after")
    def _backoff_in_order(self) -> Self:
        if self.retry_backoff_min_ms > self.retry_backoff_max_ms:
            raise ValueError(
                f"RETRY_BACKOFF_MIN_MS ({self.retry_backoff_min_ms}) is above RETRY_BACKOFF_MAX_MS "
                f"({self.retry_backoff_max_ms}); make it the smaller one."
            )
        return self
