"""Who asks, for whom and from where: the context that travels with a command or a query through its bus."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable


@runtime_checkable
class ExecutionContext(Protocol):
    """Carry user identity, tenant, request metadata, feature flags and properties of one request."""

    @property
    def user_id(self) -> str | None:
        """Return who asks."""

    @property
    def tenant_id(self) -> str | None:
        """Return the tenant on whose behalf the work is done."""

    @property
    def organization_id(self) -> str | None:
        """Return the organization of the user."""

    @property
    def session_id(self) -> str | None:
        """Return the user's session."""

    @property
    def request_id(self) -> str | None:
        """Return the id of the request that led here."""

    @property
    def source(self) -> str | None:
        """Return the system that asks."""

    @property
    def client_ip(self) -> str | None:
        """Return the network address of the client."""

    @property
    def user_agent(self) -> str | None:
        """Return the client's program, as it names itself."""

    @property
    def created_at(self) -> datetime:
        """Return when the context was made, in UTC."""
        ...

    @property
    def properties(self) -> dict[str, object]:
        """Return arbitrary values by name."""
        ...

    @property
    def feature_flags(self) -> dict[str, bool]:
        """Return the feature flags that are decided for this request."""
        ...

    def get_feature_flag(self, name: str, default: bool = False) -> bool:
        """Return the flag `name`, or `default` when it is not decided."""
        ...

    def get_property(self, key: str, default: object = None) -> object:
        """Return the property `key`, or `default` when it is absent."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class DefaultExecutionContext:
    """Hold an execution context that does not change; make one with `ExecutionContextBuilder`.

    Attributes:
        user_id: Who asks.
        tenant_id: The tenant on whose behalf the work is done.
        organization_id: The organization of the user.
        session_id: The user's session.
        request_id: The id of the request that led here.
        source: The system that asks.
        client_ip: The network address of the client.
        user_agent: The client's program, as it names itself.
        created_at: When the context was made, in UTC.
        properties: Arbitrary values by name.
        feature_flags: The feature flags that are decided for this request.
    """

    user_id: str | None = None
    tenant_id: str | None = None
    organization_id: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    source: str | None = None
    client_ip: str | None = None
    user_agent: str | None = None
    created_at: datetime = field(default_factory=_now)
    properties: dict[str, object] = field(default_factory=dict, hash=False)
    feature_flags: dict[str, bool] = field(default_factory=dict, hash=False)

    def get_feature_flag(self, name: str, default: bool = False) -> bool:
        """Return the flag `name`, or `default` when it is not decided."""
        return self.feature_flags.get(name, default)

    def get_property(self, key: str, default: object = None) -> object:
        """Return the property `key`, or `default` when it is absent."""
        return self.properties.get(key, default)


class ExecutionContextBuilder:
    """Collect what is known of a request and build its context; a builder can build more than once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._properties: dict[str, object] = {}
        self._feature_flags: dict[str, bool] = {}

    def with_user_id(self, user_id: str) -> "ExecutionContextBuilder":
        """Set who asks."""
        return self._with("user_id", user_id)

    def with_tenant_id(self, tenant_id: str) -> "ExecutionContextBuilder":
        """Set the tenant on whose behalf the work is done."""
        return self._with("tenant_id", tenant_id)

    def with_organization_id(self, organization_id: str) -> "ExecutionContextBuilder":
        """Set the organization of the user."""
        return self._with("organization_id", organization_id)

    def with_session_id(self, session_id: str) -> "ExecutionContextBuilder":
        """Set the user's session."""
        return self._with("session_id", session_id)

    def with_request_id(self, request_id: str) -> "ExecutionContextBuilder":
        """Set the id of the request that led here."""
        return self._with("request_id", request_id)

    def with_source(self, source: str) -> "ExecutionContextBuilder":
        """Set the system that asks."""
        return self._with("source", source)

    def with_client_ip(self, client_ip: str) -> "ExecutionContextBuilder":
        """Set the network address of the client."""
        return self._with("client_ip", client_ip)

    def with_user_agent(self, user_agent: str) -> "ExecutionContextBuilder":
        """Set the client's program, as it names itself."""
        return self._with("user_agent", user_agent)

    def with_property(self, key: str, value: object) -> "ExecutionContextBuilder":
        """Add one property."""
        self._properties[key] = value
        return self

    def with_feature_flag(self, name: str, enabled: bool = True) -> "ExecutionContextBuilder":
        """Decide one feature flag."""
        self._feature_flags[name] = enabled
        return self

    def build(self) -> DefaultExecutionContext:
        """Return the context; it shares nothing with the builder."""
        known = self._known.get
        return DefaultExecutionContext(
            user_id=known("user_id"),
            tenant_id=known("tenant_id"),
            organization_id=known("organization_id"),
            session_id=known("session_id"),
            request_id=known("request_id"),
            source=known("source"),
            client_ip=known("client_ip"),
            user_agent=known("user_agent"),
            properties=dict(self._properties),
            feature_flags=dict(self._feature_flags),
        )

    def _with(self, name: str, value: str) -> "ExecutionContextBuilder":
        self._known[name] = value
        return self
