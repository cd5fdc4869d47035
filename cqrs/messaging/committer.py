"""Commit what is done: after a while, after so many records, and whenever it is asked for."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.lanes import AssignedPartition
from cqrs.messaging.ports import Consumer
from cqrs.messaging.progress import Progress

logger = logging.getLogger(__name__)


class Committer:
    """Commit the progress of the assigned partitions.

    Args:
        consumer: Whose group it is.
        progress: What is done.
        seconds: The longest time that a finished record stays uncommitted.
        records: The most records that stay so.
        on_lost: Is told of partitions whose commit came too late: they are another member's.
    """

    def __init__(
        self,
        consumer: Consumer,
        progress: Progress,
        *,
        seconds: float,
        records: int,
        on_lost: Callable[[Collection[AssignedPartition]], None],
    ) -> None:
        self._consumer = consumer
        self._progress = progress
        self._seconds = seconds
        self._records = records
        self._on_lost = on_lost
        self._finished = 0
        self._since: float | None = None
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._turn = asyncio.Lock()

    def count(self) -> None:
        """Take note that a record was finished."""
        self._finished += 1
        if self._finished == 1:
            self._some.set()
            self._since = self._since or time.monotonic()
        if self._finished >= self._records:
            self._many.set()

    @property
    def uncommitted_since(self) -> float | None:
        """Return when the first record was finished that is not committed yet, or None; from any thread."""
        return self._since

    async def run(self) -> None:
        """Commit when it is due, for ever."""
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._many.wait()
            if not await self.commit():
                await asyncio.sleep(self._seconds)

    async def commit(self) -> bool:
        """Commit everything that is done, and say whether the broker has it now."""
        async with self._turn:
            self._finished, begun = 0, time.monotonic()
            self._some.clear()
            self._many.clear()
            positions = self._progress.uncommitted()
            if not positions:
                self._since = None
                return True
            for partition in positions:
                partition.unsaved = False
            try:
                lost = await self._consumer.commit({each.place: position for each, position in positions.items()})
            except BaseException as error:
                for partition in positions:
                    partition.unsaved = True
                self._some.set()
                if not isinstance(error, DependencyUnavailableException):
                    raise
                logger.warning("offsets are not committed yet: %s", error)
                return False
            self._since = begun if self._finished else None
            if lost:
                self._on_lost([each for each in positions if each.place in lost])
            return True
