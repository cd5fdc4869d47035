"""What one attempt of a command leaves to be done once its handler has succeeded: events to publish, results to evict.

A command sent from inside another's handler, in the same unit of work, is undone when that one fails: its events
therefore wait for the outermost command, and go out before the one transaction commits.
"""

from collections.abc import Awaitable, Callable, Sequence

from cqrs.command.unit_of_work import UnitOfWork
from cqrs.event.emission import EmittedEvents, current_collection
from cqrs.event.routing import drain, put_back
from cqrs.types import Command

Errand = Callable[[], Awaitable[None]]


class Work(EmittedEvents):
    """Be one attempt of one command.

    Args:
        command: The command.
        unit: The unit of work that the attempt runs in; None when its effects stay whatever happens later.
    """

    __slots__ = ("_sources", "command", "evictions", "outer", "publications", "unit")

    def __init__(self, command: Command[object], unit: UnitOfWork | None = None) -> None:
        super().__init__()
        self.command = command
        self.unit = unit
        self.publications: list[Errand] = []
        self.evictions: list[Errand] = []
        self.outer = current_collection()
        self._sources: list[tuple[object, Sequence[object]]] = []
        held = getattr(command, "domain_events", None)
        if held is not None:
            self._sources.append((command, tuple(held)))

    @property
    def enclosing(self) -> "Work | None":
        """Return the attempt, still running, in whose unit of work this one is a part."""
        outer = self.outer
        while isinstance(outer, Work) and (outer.closed or outer.unit is not self.unit):
            outer = outer.outer
        return outer if isinstance(outer, Work) and self.unit is not None else None

    def drain(self, result: object) -> tuple[object, ...]:
        """Take every event of the attempt: those of the result, of the command, and the emitted ones, in that order."""
        of_result = drain(result)
        if of_result and result is not self.command:
            self._sources.append((result, of_result))
        of_command = () if result is self.command else drain(self.command)
        return (*of_result, *of_command, *self.events)

    def undo(self) -> None:
        """Give drained events back to where they came from, and take away those of a failed attempt."""
        for source, events in self._sources:
            put_back(source, events)

    def hand_over(self, outer: "Work") -> None:
        """Leave to `outer` what is to be done."""
        outer.publications.extend(self.publications)
        outer.evictions.extend(self.evictions)
