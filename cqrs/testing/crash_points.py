"""Named points on the path of a command at which a service can be made to die, or do anything else.

In the test's own process::

    with wrapped(Passages(CrashAt("acked:3", do=gate))):
        service = order_service(settings)

As a process of its own, killed by SIGKILL: `ServiceProcess("service", crash_at="acked:3")`.

With a `FaultPlan` the points are its moments: `Passages(plan.note)`, and a fault that `begins="acked:3"`.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum

from cqrs.exceptions import ConfigurationException


class CrashPoint(StrEnum):
    """Name a point on the path of a command, in the order in which a command comes by."""

    POLLED = "polled"
    """A poll has returned records, of which none is taken up yet; one passage a poll, however many records."""

    BEFORE_HANDLER = "before_handler"
    """A command is accepted, its transaction open; its handler is called next."""

    AFTER_HANDLER = "after_handler"
    """Its handler has returned; none of its events is sent."""

    SENT = "sent"
    """An event is with the Kafka client, and its acknowledgement is not known: the broker may have it or not."""

    ACKED = "acked"
    """The broker has acknowledged an event; nobody else knows yet."""

    BEFORE_STATE_COMMIT = "before_state_commit"
    """Every event is acknowledged; the transaction of the state commits next. Needs a database."""

    AFTER_STATE_COMMIT = "after_state_commit"
    """The state is committed; its record does not count as done yet. Needs a database."""

    DEAD_LETTER_SENT = "dead_letter_sent"
    """A refused record, or one on its way to a retry topic, is with the Kafka client, and not acknowledged."""

    DEAD_LETTER_ACKED = "dead_letter_acked"
    """It is acknowledged; its offset may not move yet."""

    BEFORE_OFFSET_COMMIT = "before_offset_commit"
    """Offsets are about to be committed; the effects of all records below them are durable."""

    AFTER_OFFSET_COMMIT = "after_offset_commit"
    """The broker has the offsets; the service does not know yet."""

    MID_REBALANCE = "mid_rebalance"
    """Partitions are being taken away: nothing new begins, work in hand is not finished, nothing of it committed."""

    MID_DRAIN = "mid_drain"
    """The service was told to stop: nothing new begins, work in hand is not finished."""


Tell = Callable[[CrashPoint], Awaitable[None] | None]
"""Be told of a passage; what it returns is awaited, and what it raises is raised at the point."""

Act = Callable[[], Awaitable[None] | None]
"""Do what is to be done at a point; what it returns is awaited."""


def die() -> None:
    """End this process as a crash does: at once, with nothing flushed, closed or said to anybody.

    Source: SIGKILL can be neither caught nor delayed (signal(7)).
    """
    os.kill(os.getpid(), signal.SIGKILL)


class CrashAt:
    """Do something at the n-th passage of one point; by default, die.

    Args:
        at: The point and the number of its passage, from 1: `acked:137`; `acked` is the first one.
        do: What is done there, once.

    Attributes:
        point: The point.
        number: At which of its passages.
        passages: How often it was passed so far.

    Raises:
        ConfigurationException: there is no such point, or the number is none; lists the points.
    """

    def __init__(self, at: str, do: Act = die) -> None:
        self.point, self.number = parse_crash_point(at)
        self.passages = 0
        self._do = do

    def __call__(self, point: CrashPoint) -> Awaitable[None] | None:
        """Count a passage of `point`, and act when it is the one."""
        if point is not self.point:
            return None
        self.passages += 1
        return self._do() if self.passages == self.number else None


def parse_crash_point(text: str) -> tuple[CrashPoint, int]:
    """Read `acked:137` as a point and the number of its passage, 1 when it says none.

    Raises:
        ConfigurationException: there is no such point, or the number is none; lists the points.
    """
    name, colon, number = text.partition(":")
    names = [each.value for each in CrashPoint]
    if name not in names:
        raise ConfigurationException([f"{name!r} is no crash point; choose one of {', '.join(names)}"])
    if colon and not (number.isdecimal() and int(number) > 0):
        raise ConfigurationException([f"{text!r}: write the number of the passage from 1, as in {name}:137"])
    return CrashPoint(name), int(number or 1)
