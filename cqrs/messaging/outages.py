"""What records wait for that is away: told once when it begins, once when it is over, and to whoever asks meanwhile."""

import logging
from collections.abc import Mapping

from cqrs.exceptions import message_of

logger = logging.getLogger(__name__)


class Outages:
    """Count, for each thing that is away, the records that wait for it."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._why: dict[str, str] = {}

    @property
    def reason(self) -> str | None:
        """Return what is away and why, as a sentence, or None."""
        for name, count in self._waiting.items():
            return f"{count} {'record waits' if count == 1 else 'records wait'} for {name}: {self._why[name]}"
        return None

    @property
    def waiting(self) -> Mapping[str, int]:
        """Return how many records wait for each thing that is away; from any thread."""
        return dict(self._waiting)

    def begin(self, name: str, error: Exception) -> None:
        """Take note that a record waits for `name`, because of `error`."""
        self._why[name] = message_of(error)
        if name not in self._waiting:
            logger.warning("records wait for %s: %s", name, self._why[name])
        self._waiting[name] = self._waiting.get(name, 0) + 1

    def end(self, name: str) -> None:
        """Take note that a record waits for `name` no more."""
        self._waiting[name] -= 1
        if not self._waiting[name]:
            del self._waiting[name], self._why[name]
            logger.info("no record waits for %s any more", name)
