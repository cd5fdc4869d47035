"""What the command line needs to know of a service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from cqrs.cli.demo_commands import DemoCommand
    from cqrs.config.settings import ServiceSettings
    from cqrs.runtime import Service
    from cqrs.sql.migrations import Migrations
    from cqrs.telemetry.span_memory import SpanMemory

S = TypeVar("S", bound="ServiceSettings")


@dataclass(frozen=True, slots=True)
class ServiceProgram(Generic[S]):
    """Name the parts of a service that its command line uses; each is called only when a command needs it.

    Attributes:
        module: How the program is started: `python -m <module>`.
        about: What the service is, in one line.
        packages: Packages that hold the handlers.
        settings: Makes the settings; values given to it win over every other source.
        service: Makes the service, not started; the second argument keeps its spans, or is None.
        demo: Answers the commands that `demo` sends; it is given the folder of the schemas.
        migrations: Answers the tables and the steps that lead to them; None for a service without a database.
        events: Packages that hold the event classes.
    """

    module: str
    about: str
    packages: tuple[str, ...]
    settings: "Callable[[Mapping[str, object]], S]"
    service: "Callable[[S, SpanMemory | None], Service]"
    demo: "Callable[[Path], Sequence[DemoCommand]]"
    migrations: "Callable[[], Migrations] | None" = None
    events: tuple[str, ...] = ()
