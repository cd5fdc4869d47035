"""Which core the contestants have, and which the broker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def client_core() -> int | None:
    """Return the core that every contestant stays on; None where the system cannot pin a process."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def broker_core() -> int | None:
    """Return the core that brokers and databases stay on: another one, where there is one."""
    return min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Let processes that are started inside the block stay on a core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
