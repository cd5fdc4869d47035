"""The buses' part of `/actuator/health`."""

from cqrs.command.registry import HandlerRegistry


class CqrsHealthIndicator:
    """Say whether the buses have anything to do.

    Args:
        registry: The registry that the buses use.
    """

    def __init__(self, registry: HandlerRegistry) -> None:
        self._registry = registry

    def health(self) -> dict[str, object]:
        """Return the status, UP when a handler is registered and UNKNOWN otherwise, and the number of handlers."""
        commands, queries = self._registry.command_handler_count, self._registry.query_handler_count
        return {
            "status": "UP" if commands + queries else "UNKNOWN",
            "details": {"command_handlers": commands, "query_handlers": queries},
        }
