"""Look after what a service depends on, so that its readiness probe can answer at once from what is known."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from cqrs.exceptions import message_of

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]
"""Raise when something is not well."""

CHECK_SECONDS = 5.0
"""How long one look may take."""


class DependencyWatch:
    """Ask each dependency now and then how it is, and remember what it said.

    Args:
        checks: By the name of each part, what raises when it is not well.
        interval_seconds: The time between two looks.
    """

    def __init__(self, checks: Mapping[str, Check], *, interval_seconds: float) -> None:
        self._checks = dict(checks)
        self._interval = interval_seconds
        self._problems: dict[str, str | None] = dict.fromkeys(checks)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problems(self) -> Mapping[str, str | None]:
        """Return what was wrong with each part when it was last looked at, or None; from any thread."""
        return dict(self._problems)

    def start(self) -> None:
        """Begin to look; each part by itself, so that one that is slow keeps no other waiting."""
        self._tasks = [asyncio.create_task(self._watch(name), name=f"watch {name}") for name in self._checks]

    async def stop(self) -> None:
        """End looking; harmless when called again."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self, name: str) -> None:
        while True:
            problem = await self._problem(name)
            before, self._problems[name] = self._problems[name], problem
            if problem is not None and before is None:
                logger.warning("%s is not well: %s", name, problem)
            elif problem is None and before is not None:
                logger.info("%s is well again", name)
            await asyncio.sleep(self._interval)

    async def _problem(self, name: str) -> str | None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._checks[name]()
        except TimeoutError:
            return f"no answer within {time.monotonic() - begun:.0f} s"
        except Exception as error:  # noqa: BLE001 - whatever a check raises, that part is not well
            return message_of(error)
        return None
