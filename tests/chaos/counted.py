"""Count the asyncio tasks of a service from outside of its code: its event loop is noted when it is made."""

import asyncio
import threading
import time
from pathlib import Path

_SECONDS = 1.0


class _Noting(asyncio.DefaultEventLoopPolicy):
    """Note the first event loop that is made: it is the service's."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop | None = None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make one as always."""
        made = super().new_event_loop()
        self.loop = self.loop or made
        return made


def count_tasks(place: Path) -> None:
    """Write the number of tasks into a file every second, from a thread, for as long as the process lives."""
    policy = _Noting()
    asyncio.set_event_loop_policy(policy)

    def write() -> None:
        draft = place.with_suffix(".draft")
        while True:
            time.sleep(_SECONDS)
            if policy.loop is not None:
                draft.write_text(str(len(asyncio.all_tasks(policy.loop))))
                draft.replace(place)

    threading.Thread(target=write, name="counting", daemon=True).start()
