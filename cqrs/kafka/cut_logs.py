"""Positions that the brokers do not have any more."""

import logging
from collections.abc import Mapping

from cqrs.messaging.message import TopicPartition

_log = logging.getLogger(__name__)

_BELIEVED = 2


class CutLogs:
    """Remember which positions a broker refused, so that a group is not sent back to one for ever.

    A refusal is believed when it comes twice in a row: a leader that was just elected may err, and a position that is
    given up means either records that were deleted unread, or all of a partition once more.
    """

    def __init__(self) -> None:
        self._refused: dict[TopicPartition, tuple[int, int]] = {}

    def refuse(self, positions: Mapping[TopicPartition, int]) -> None:
        """Count that there is nothing at `positions`."""
        for partition, offset in positions.items():
            before, times = self._refused.get(partition, (offset, 0))
            self._refused[partition] = (offset, times + 1 if offset == before else 1)

    def is_gone(self, partition: TopicPartition, offset: int) -> bool:
        """Say whether reading cannot go on at `offset`, and log it, because records may be lost."""
        refused, times = self._refused.get(partition, (offset, 0))
        if refused != offset or times < _BELIEVED:
            return False
        _log.error(
            "%s[%d] has nothing at offset %d, where the group stands: records were deleted before they were read, or "
            "the log was cut; reading goes on at the first record there is",
            partition.topic,
            partition.partition,
            offset,
        )
        return True
