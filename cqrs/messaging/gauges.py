"""What delivery says of itself at the moment it is asked: numbers taken from the live objects, from any thread."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from cqrs.messaging.breaker import BreakerState
from cqrs.messaging.lanes import AssignedPartition, Entry
from cqrs.messaging.message import TopicPartition
from cqrs.messaging.ports import LogEnd
from cqrs.messaging.room import Limits, room_for_more

ASSIGNED = "messaging_assigned_partitions"
PAUSED = "messaging_paused_partitions"
IN_FLIGHT = "messaging_in_flight_records"
BUFFERED = "messaging_buffered_records"
WAITING = "messaging_waiting_records"
HELD_FOR = "messaging_held_records"
LAG_RECORDS = "messaging_consumer_lag_records"
LAG_SECONDS = "messaging_consumer_lag_seconds"
OLDEST = "messaging_oldest_unfinished_seconds"
COMMIT_AGE = "messaging_commit_age_seconds"
REBALANCES = "messaging_rebalances_total"
BREAKER = "messaging_breaker_state"

GAUGES: Mapping[str, tuple[tuple[str, ...], str]] = {
    ASSIGNED: (("group",), "Partitions that the group has given to this member."),
    PAUSED: (("group",), "Those from which nothing is read for now: no room, or what they need is away."),
    IN_FLIGHT: (("group",), "Records in work."),
    BUFFERED: (("group",), "Records read and not done, those in work and those that wait included."),
    WAITING: (("group",), "Records that failed and wait for their next try; each holds back its key."),
    HELD_FOR: (("group", "dependency"), "Records that wait for something that is away; no attempt is spent."),
    LAG_RECORDS: (
        ("group", "topic", "partition"),
        "Offsets from the lowest unfinished record to the end of the partition, as the last fetch told it.",
    ),
    LAG_SECONDS: (
        ("group", "topic", "partition"),
        "Seconds since the timestamp of the oldest unfinished record; 0 when all is done; absent while it is not read.",
    ),
    OLDEST: (("group",), "Seconds since the oldest unfinished record was read by this member; 0 when there is none."),
    COMMIT_AGE: (("group",), "Seconds that the first finished record has waited for its commit; 0 when none does."),
    REBALANCES: (("group",), "How often partitions were assigned to this member."),
    BREAKER: (("type", "state"), "1 for the state of a command type's breaker: closed, open or half_open; 0 else."),
}
"""Every number that is taken when it is asked for: its label names in order, and its description."""

_STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")
_TRIES = 3


class Reading(NamedTuple):
    """Hold one number.

    Attributes:
        name: The metric, one of `GAUGES`.
        labels: The values of its labels, in their order.
        value: The number.
    """

    name: str
    labels: tuple[str, ...]
    value: float


class Standing(NamedTuple):
    """Hold where one member of a group stands; the objects are live.

    Attributes:
        partitions: What is assigned to it.
        limits: How much it takes on.
        in_flight: Records in work.
        waiting: Records that wait for another try.
        held: How many wait for each thing that is away.
        uncommitted_since: When the first record was finished that is not committed yet; None when there is none.
        rebalances: How often partitions were assigned.
        ends: Where the logs end, as far as the client has heard.
    """

    partitions: Sequence[AssignedPartition]
    limits: Limits
    in_flight: int
    waiting: int
    held: Mapping[str, int]
    uncommitted_since: float | None
    rebalances: int
    ends: Mapping[TopicPartition, LogEnd]


def member_readings(
    group: str,
    standing: Standing,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Iterator[Reading]:
    """Yield what one member of a group has to say."""
    now, partitions = monotonic(), standing.partitions
    room = room_for_more(partitions, standing.limits)
    paused = 0 if room.partitions is None else len(partitions) - len(room.partitions)
    oldest = [entry.read_at for each in partitions if (entry := oldest_of(each)) is not None]
    since = standing.uncommitted_since
    yield from (
        Reading(ASSIGNED, (group,), len(partitions)),
        Reading(PAUSED, (group,), paused),
        Reading(IN_FLIGHT, (group,), standing.in_flight),
        Reading(BUFFERED, (group,), sum(each.buffered for each in partitions)),
        Reading(WAITING, (group,), standing.waiting),
        Reading(OLDEST, (group,), max(now - min(oldest), 0.0) if oldest else 0.0),
        Reading(COMMIT_AGE, (group,), 0.0 if since is None else max(now - since, 0.0)),
        Reading(REBALANCES, (group,), standing.rebalances),
    )
    yield from (Reading(HELD_FOR, (group, name), count) for name, count in standing.held.items())
    for each in partitions:
        yield from _lag(group, each, standing.ends.get(each.place), wall())


def breaker_readings(name: str, state: BreakerState) -> Iterator[Reading]:
    """Yield the state of one command type's breaker."""
    return (Reading(BREAKER, (name, each), float(each == state)) for each in _STATES)


def oldest_of(partition: AssignedPartition) -> Entry | None:
    """Return the unfinished record of `partition` that was read first, or None; from any thread."""
    for _ in range(_TRIES):
        try:
            firsts = [lane.entries[0] for lane in list(partition.lanes.values()) if lane.entries]
            return min(firsts, key=lambda entry: entry.message.offset, default=None)
        except (IndexError, RuntimeError):  # a record was finished just now
            continue
    return None


def _lag(group: str, partition: AssignedPartition, end: LogEnd | None, now: float) -> Iterator[Reading]:
    if end is None:
        return  # nothing was fetched yet
    place = (group, partition.place.topic, str(partition.place.partition))
    entry = oldest_of(partition)
    # Without work in hand the client's own position counts: it also steps over what transactions leave in the log.
    records = max(end.end - (end.position if entry is None else entry.message.offset), 0)
    yield Reading(LAG_RECORDS, place, records)
    if entry is not None:
        yield Reading(LAG_SECONDS, place, max(now - entry.message.timestamp_ms / 1000, 0.0))
    elif not records:
        yield Reading(LAG_SECONDS, place, 0.0)
