"""What `/actuator/cqrs/metrics` answers: which handlers there are, and how each is run."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TypeVar

from cqrs.command.registry import HandlerRegistry, Registration
from cqrs.types import message_name

H = TypeVar("H")


class CqrsMetricsEndpoint:
    """Describe the handlers of a registry.

    Args:
        registry: The registry that the buses use.
    """

    def __init__(self, registry: HandlerRegistry) -> None:
        self._registry = registry

    def get_metrics(self) -> dict[str, object]:
        """Return counts, the names of the message types, and each handler's options; all of it fits JSON."""
        registry = self._registry
        return {
            "command_handlers": registry.command_handler_count,
            "query_handlers": registry.query_handler_count,
            "registered_command_types": _names(registry.get_registered_command_types()),
            "registered_query_types": _names(registry.get_registered_query_types()),
            "handlers": [
                *(_description("command", registration) for registration in registry.command_registrations()),
                *(_description("query", registration) for registration in registry.query_registrations()),
            ],
        }


def _names(kinds: Iterable[type]) -> list[str]:
    return sorted(kind.__name__ for kind in kinds)


def _description(kind: str, registration: Registration[H]) -> dict[str, object]:
    options = asdict(registration.options)
    return {
        **options,
        "kind": kind,
        "tags": list(registration.options.tags),
        "message": message_name(registration.message_type),
        "handler": type(registration.handler).__qualname__,
        "in_effect": registration.in_effect,
    }
