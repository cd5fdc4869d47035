"""The settings of the buses: every key of the group `cqrs`, with its default and its effect."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CommandProperties(_Group):
    """Hold `cqrs.command.*`."""

    timeout: int = Field(
        default=30, gt=0, description="Seconds a command's handler may take when it names no limit of its own"
    )
    metrics_enabled: bool = Field(default=True, description="Count and time commands")
    tracing_enabled: bool = Field(default=True, description="Open spans for commands and their handlers")
    event_publication: Literal["strict", "lenient"] = Field(
        default="strict",
        description="strict: a failed publication fails the command; lenient: it is logged and the event lost",
    )


class QueryProperties(_Group):
    """Hold `cqrs.query.*`."""

    timeout: int = Field(
        default=15, gt=0, description="Seconds a query's handler may take when it names no limit of its own"
    )
    caching_enabled: bool = Field(default=True, description="Keep the results of cacheable queries")
    cache_ttl: int = Field(
        default=900, ge=0, description="Seconds a result is kept when its handler names no time; 0: not kept"
    )
    metrics_enabled: bool = Field(default=True, description="Count and time queries")
    tracing_enabled: bool = Field(default=True, description="Open spans for queries and their handlers")


class CustomAuthorizationProperties(_Group):
    """Hold `cqrs.authorization.custom.*`."""

    enabled: bool = Field(default=True, description="Ask the authorization hooks of commands and queries")
    timeout_ms: int = Field(default=5000, gt=0, description="Milliseconds a hook may take; a later answer is a denial")


class AuthorizationProperties(_Group):
    """Hold `cqrs.authorization.*`."""

    enabled: bool = Field(default=True, description="Authorize commands and queries; false lets all of them pass")
    custom: CustomAuthorizationProperties = CustomAuthorizationProperties()


class CqrsProperties(_Group):
    """Hold `cqrs.*`: what the command bus and the query bus do by default.

    From the environment a key is written `CQRS__COMMAND__TIMEOUT`, in YAML `cqrs: {command: {timeout: 30}}`. An unknown
    key is an error.
    """

    enabled: bool = Field(default=True, description="Wire the buses into the container")
    command: CommandProperties = CommandProperties()
    query: QueryProperties = QueryProperties()
    authorization: AuthorizationProperties = AuthorizationProperties()
