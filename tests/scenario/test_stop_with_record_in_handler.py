"""SIGTERM finishes what is in hand, commits exactly that, and ends with exit code 0; the next process does the rest."""

import asyncio
from pathlib import Path

import pytest

from cqrs.testing.embedded_broker import EmbeddedBroker
from service.settings import COMMANDS, EVENTS
from tests.scenario.process import committed, keys, running, send

ORDERS = 300


@pytest.mark.asyncio
async def test_under_load_it_commits_exactly_what_it_did_and_the_next_process_does_the_rest(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    send(broker, ORDERS)
    async with running(broker, tmp_path) as first:
        await asyncio.to_thread(keys, broker, EVENTS, 20)
        assert await first.stop() == 0

    done = await asyncio.to_thread(keys, broker, EVENTS)
    assert await asyncio.to_thread(committed, broker) == len(done)

    async with running(broker, tmp_path) as second:
        everything = await asyncio.to_thread(keys, broker, EVENTS, ORDERS)
        assert await second.stop() == 0

    assert sorted(everything) == sorted(f"o-{number}" for number in range(ORDERS)), "each once: none lost or repeated"
    assert await asyncio.to_thread(keys, broker, f"{COMMANDS}-dlt") == []
    assert await asyncio.to_thread(committed, broker) == ORDERS


@pytest.mark.asyncio
async def test_it_ends_with_exit_code_0_although_the_broker_is_away(broker: EmbeddedBroker, tmp_path: Path) -> None:
    send(broker, 1)
    async with running(broker, tmp_path) as process:
        await asyncio.to_thread(keys, broker, EVENTS, 1)
        broker.broker_down()
        try:
            assert await process.stop() == 0
        finally:
            broker.broker_up()
