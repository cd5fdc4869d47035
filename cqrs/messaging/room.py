"""How much may be read ahead of the work, and from where."""

from collections.abc import Collection
from dataclasses import dataclass

from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.message import TopicPartition


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what one subscriber takes on.

    A partition may fill the whole buffer while its records flow; once one of them waits for another try it may hold its
    share only, so that it cannot take the room of the others. Each may always hold its share. So no more than twice the
    buffer is ever held.

    Attributes:
        max_in_flight: Records in work at once.
        buffer: Records read and not done.
        buffer_bytes: Their size: values, keys and headers.
        max_lead: How far reading may be ahead of the lowest unfinished offset of a partition, in offsets.
        max_poll_records: Records taken by one poll.
    """

    max_in_flight: int = 100
    buffer: int = 2_000
    buffer_bytes: int = 64 * 1024 * 1024
    max_lead: int = 10_000
    max_poll_records: int = 500


@dataclass(frozen=True, slots=True)
class Room:
    """Say from where records are wanted, and how many.

    Attributes:
        partitions: Those that have room; None for all that there are.
        records: How many fit.
        is_short: Whether a partition whose records flow has none just now.
    """

    partitions: tuple[TopicPartition, ...] | None
    records: int
    is_short: bool


def room_for_more(assigned: Collection[AssignedPartition], limits: Limits) -> Room:
    """Return from which of the assigned partitions records are wanted."""
    if not assigned:
        return Room(None, limits.max_poll_records, is_short=False)
    share = max(limits.buffer // len(assigned), 1)
    byte_share = limits.buffer_bytes // len(assigned)
    total = sum(each.buffered for each in assigned)
    total_bytes = sum(each.buffered_bytes for each in assigned)
    open_to_all = total < limits.buffer and total_bytes < limits.buffer_bytes
    wanted: list[TopicPartition] = []
    is_short = False
    for each in assigned:
        if each.is_fenced or each.held or each.watermark.lead >= limits.max_lead:
            continue
        within_share = each.buffered < share and (each.buffered_bytes < byte_share or not each.buffered)
        if within_share or (open_to_all and not each.waiting):
            wanted.append(each.place)
        elif not each.waiting:
            is_short = True
    records = min(limits.max_poll_records, max(limits.buffer - total, share))
    return Room(None if len(wanted) == len(assigned) else tuple(wanted), records, is_short)
