"""Contestants with a sampler beside them: each writes what it saw into its folder."""

import json
from functools import partial
from pathlib import Path

from benchmarks.flow import loops, order_service, ours
from benchmarks.flow.job import Clock, TakesTurn, Turn
from benchmarks.flow.sampling import Sampler

STACKS = "stacks.json"


async def sampled(turn: Turn, clock: Clock, contestant: TakesTurn) -> None:
    """Let a contestant take its turn, and write how often each stack was seen."""
    sampler = Sampler(clock)
    with sampler.at_work():
        await contestant(turn, clock)
    keep(sampler, Path(turn.folder, STACKS))


def keep(sampler: Sampler, file: Path) -> None:
    """Write how often each stack was seen."""
    file.write_text(json.dumps(list(sampler.stacks.items())), "utf-8")


CONTESTANTS: dict[str, TakesTurn] = {
    "ours": partial(sampled, contestant=ours.CONTESTANTS["event"]),
    "traced": partial(sampled, contestant=ours.CONTESTANTS["event, traced"]),
    "no-op": partial(sampled, contestant=ours.CONTESTANTS["no-op"]),
    "orders": partial(sampled, contestant=order_service.serve),
    "loop": partial(sampled, contestant=loops.CONTESTANTS["plain"]),
}
"""By name, what takes a turn."""
