"""Keep aiokafka from filling the log while a broker is away: it says the same many times a second, for each client."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_LIBRARY = "aiokafka"
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
_MOST_REMEMBERED = 256

_Saying: TypeAlias = tuple[str, str, int, str]


@dataclass(slots=True)
class _Said:
    next_at: float
    pause: float
    dropped: int = 0


class RepetitionFilter(logging.Filter):
    """Let a message through when the same was not said at the same place just now, with the number held back since.

    The pause is a second; while the message keeps coming it doubles, up to ten seconds. Debug messages all pass.

    Args:
        clock: The time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[_Saying, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether `record` is logged; one that stands for others is told so."""
        if record.levelno < logging.INFO:
            return True
        message, now = record.getMessage(), self._clock()
        saying = (record.name, record.pathname, record.lineno, message)
        said = self._said.pop(saying, None)
        if said is not None and now < said.next_at:
            said.dropped += 1
            self._said[saying] = said
            return False
        if said is not None and said.dropped:
            record.msg, record.args = f"{message} (and {said.dropped} more like it)", ()
        self._said[saying] = _next(said, now)
        self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        while len(self._said) > _MOST_REMEMBERED:
            del self._said[next(iter(self._said))]


def _next(said: _Said | None, now: float) -> _Said:
    """Wait longer for what was repeated meanwhile."""
    pause = min(2 * said.pause, _LONGEST_PAUSE_SECONDS) if said is not None and said.dropped else _FIRST_PAUSE_SECONDS
    return _Said(now + pause, pause)


_filter = RepetitionFilter()


def quieten_aiokafka() -> None:
    """Have every logger of aiokafka repeat itself seldom; harmless when called again."""
    for name in list(logging.root.manager.loggerDict):
        if name == _LIBRARY or name.startswith(f"{_LIBRARY}."):
            logging.getLogger(name).addFilter(_filter)
