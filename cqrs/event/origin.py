"""Where an event comes from: what a publisher needs to give it a stable identity."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """Name the command that caused an event, and the event's place among that command's events.

    The pair (command_id, index) is the same whenever the command runs again, so an id derived from it is too.

    Attributes:
        command_id: The command's id, as `Command.get_command_id()` says.
        command_type: The command's declared name.
        index: The event's place among the command's events, from 0.
        correlation_id: The correlation id that the command ran under.
    """

    command_id: str
    command_type: str
    index: int
    correlation_id: str
