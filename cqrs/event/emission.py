"""Collect the events that a handler emits while it runs."""

from contextvars import ContextVar, Token
from types import TracebackType


class EmittedEvents:
    """Collect the events of one attempt of one command."""

    __slots__ = ("_token", "closed", "events")

    def __init__(self) -> None:
        self.events: list[object] = []
        self.closed = False
        self._token: Token[EmittedEvents | None] | None = None

    def __enter__(self) -> None:
        self._token = _collecting.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        if self._token is not None:
            _collecting.reset(self._token)


_collecting: ContextVar[EmittedEvents | None] = ContextVar("cqrs_emitted_events", default=None)


def current_collection() -> EmittedEvents | None:
    """Return where the running task's events are collected, which may have ended."""
    return _collecting.get()


def emit(event: object) -> None:
    """Publish `event` with the command whose handler is running, after the handler has succeeded.

    Events go out in the order of their emission, after those of `result.domain_events` and `command.domain_events`,
    to where `@publish_domain_event` on the handler says. None goes out when the handler fails.

    Raises:
        RuntimeError: no command is being handled, or the one that was has ended: nobody would publish the event.
    """
    collected = _collecting.get()
    if collected is None:
        raise RuntimeError(f"emit({type(event).__name__}) works inside a command handler that a command bus runs")
    if collected.closed:
        raise RuntimeError(f"emit({type(event).__name__}) came after its command had ended; await the task that emits")
    collected.events.append(event)
