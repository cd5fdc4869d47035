"""What the buses read of their settings; `cqrs.config.properties.CqrsProperties` fits these ports."""

from typing import Literal, Protocol


class CommandSettings(Protocol):
    """Hold the settings of the command bus."""

    @property
    def timeout(self) -> float:
        """Return the seconds that a handler may take when it names no limit of its own."""
        ...

    @property
    def metrics_enabled(self) -> bool:
        """Return whether commands are counted and timed."""
        ...

    @property
    def tracing_enabled(self) -> bool:
        """Return whether commands have spans."""
        ...

    @property
    def event_publication(self) -> Literal["strict", "lenient"]:
        """Return whether a failed publication fails its command."""
        ...


class QuerySettings(Protocol):
    """Hold the settings of the query bus."""

    @property
    def timeout(self) -> float:
        """Return the seconds that a handler may take when it names no limit of its own."""
        ...

    @property
    def metrics_enabled(self) -> bool:
        """Return whether queries are counted and timed."""
        ...

    @property
    def tracing_enabled(self) -> bool:
        """Return whether queries have spans."""
        ...

    @property
    def caching_enabled(self) -> bool:
        """Return whether results of cacheable queries are kept."""
        ...

    @property
    def cache_ttl(self) -> int:
        """Return the seconds that a result is kept when its handler names no time."""
        ...


class CustomAuthorizationSettings(Protocol):
    """Hold the settings of the messages' own authorization hooks."""

    @property
    def enabled(self) -> bool:
        """Return whether the hooks are asked."""
        ...

    @property
    def timeout_ms(self) -> int:
        """Return the milliseconds a hook may take."""
        ...


class AuthorizationSettings(Protocol):
    """Hold the settings of authorization."""

    @property
    def enabled(self) -> bool:
        """Return whether messages are authorized."""
        ...

    @property
    def custom(self) -> CustomAuthorizationSettings:
        """Return the settings of the hooks."""
        ...


class BusSettings(Protocol):
    """Hold the settings of both buses."""

    @property
    def command(self) -> CommandSettings:
        """Return the settings of the command bus."""
        ...

    @property
    def query(self) -> QuerySettings:
        """Return the settings of the query bus."""
        ...

    @property
    def authorization(self) -> AuthorizationSettings:
        """Return the settings of authorization."""
        ...
