"""SIGKILL while many keys are in work loses nothing: no commit stands above unfinished work."""

import asyncio
from pathlib import Path

import pytest

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.settings import COMMANDS, EVENTS
from tests.scenario.process import committed, keys, running, send

ORDERS = 1_000
KILLS = (100, 500)
"""After so many events the process is killed, and the next one is started."""


@pytest.mark.asyncio
async def test_every_command_has_its_outcome_however_often_the_process_is_killed(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    send(broker, ORDERS)
    for count in KILLS:
        async with running(broker, tmp_path) as process:
            await asyncio.to_thread(keys, broker, EVENTS, count)
            await process.kill()
        done = set(await asyncio.to_thread(keys, broker, EVENTS))
        assert await asyncio.to_thread(committed, broker) <= len(done), "more was committed than done"
    async with running(broker, tmp_path) as process:
        everything = await asyncio.to_thread(keys, broker, EVENTS, ORDERS)
        while await asyncio.to_thread(committed, broker) < ORDERS:
            everything = await asyncio.to_thread(keys, broker, EVENTS, ORDERS)
        assert await process.stop() == 0

    assert set(everything) == {f"o-{number}" for number in range(ORDERS)}, "a command was lost"
    repeats = await asyncio.to_thread(keys, broker, f"{COMMANDS}-dlt")
    assert set(repeats) <= set(everything), "only a command that is delivered again is refused, as a repeat of itself"
