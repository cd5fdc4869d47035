"""A process that is told to die at a named point dies there: broker and database hold what they must at that moment."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cqrs.testing.crash_points import CrashPoint
from cqrs.testing.embedded_broker import ApiKey, EmbeddedBroker
from cqrs.testing.service_process import ServiceProcess
from service.settings import COMMANDS, EVENTS
from tests.scenario.process import DEADLINE, committed, create, keys, running

KILLED = -9
REBALANCE_IN_PROGRESS = 27
LETTERS = f"{COMMANDS}-dlt"
ADD = json.dumps(
    {"type": "orders.AddItem", "data": {"order_id": "o-1", "item": {"sku": "B", "quantity": 1, "unit_price": "1.00"}}}
).encode()
REPEATED = create(1)  # the order exists then: refused


@dataclass(frozen=True)
class Left:
    """Say what a process left behind: a number, or the two that are possible."""

    events: int | tuple[int, int]
    version: int
    offset: int = 0
    letters: int | tuple[int, int] = 0


@dataclass(frozen=True)
class Case:
    """Name a passage, the second command of the order, and what is left behind."""

    at: str
    left: Left
    second: bytes = ADD


CASES = (
    Case("polled:1", Left(0, 0)),
    Case("before_handler:2", Left(1, 1)),
    Case("after_handler:2", Left(1, 1)),
    Case("sent:2", Left((1, 2), 1)),
    Case("acked:2", Left(2, 1)),
    Case("before_state_commit:2", Left(2, 1)),
    Case("after_state_commit:2", Left(2, 2)),
    Case("before_offset_commit:1", Left(2, 2)),
    Case("after_offset_commit:1", Left(2, 2, offset=2)),
    Case("dead_letter_sent:1", Left(1, 1, letters=(0, 1)), REPEATED),
    Case("dead_letter_acked:1", Left(1, 1, letters=1), REPEATED),
)


def send_two(broker: EmbeddedBroker, second: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for value in (create(1), second):
        producer.produce(COMMANDS, value, key="o-1")
    assert producer.flush(DEADLINE) == 0


def version(state: Path) -> int:
    with closing(sqlite3.connect(state / "service.db")) as database:
        found = database.execute("SELECT version FROM orders WHERE order_id = 'o-1'").fetchone()
    return found[0] if found else 0


def until_version(state: Path, wanted: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while version(state) < wanted:
        assert time.monotonic() < deadline, f"the order stayed at version {version(state)}"
        time.sleep(0.02)


def assert_left(broker: EmbeddedBroker, state: Path, left: Left) -> None:
    found = {"events": len(keys(broker, EVENTS)), "letters": len(keys(broker, LETTERS))}
    for name, number in found.items():
        expected = getattr(left, name)
        assert number in (expected if isinstance(expected, tuple) else (expected,)), (name, number)
    assert (version(state), committed(broker)) == (left.version, left.offset)


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.at)
async def test_the_process_dies_at_the_point(broker: EmbeddedBroker, tmp_path: Path, case: Case) -> None:
    await asyncio.to_thread(send_two, broker, case.second)

    async with running(broker, tmp_path, case.at, commit_interval_ms=60_000, commit_records=2) as process:
        assert await process.ended() == KILLED

    await asyncio.to_thread(assert_left, broker, tmp_path, case.left)


async def rebalance(broker: EmbeddedBroker, process: ServiceProcess) -> None:
    """Tell the member by its next heartbeat to join anew: it gives its partitions back for that."""
    broker.fail_requests(ApiKey.HEARTBEAT, REBALANCE_IN_PROGRESS)
    await process.ended()


async def stop(broker: EmbeddedBroker, process: ServiceProcess) -> None:
    await process.stop()


TOLD: dict[str, Callable[[EmbeddedBroker, ServiceProcess], Awaitable[None]]] = {
    "mid_rebalance": rebalance,
    "mid_drain": stop,
}
"""Points that no command passes, and what brings the process to them."""


@pytest.mark.asyncio
@pytest.mark.parametrize("at", TOLD)
async def test_the_process_dies_when_partitions_go_and_when_it_is_stopped(
    broker: EmbeddedBroker, tmp_path: Path, at: str
) -> None:
    """Both would end with a commit of what is done; the process does not come so far."""
    await asyncio.to_thread(send_two, broker, ADD)

    async with running(broker, tmp_path, at, commit_interval_ms=60_000) as process:
        await asyncio.to_thread(keys, broker, EVENTS, 2)
        await asyncio.to_thread(until_version, tmp_path, 2)
        await TOLD[at](broker, process)
        assert process.exit_code == KILLED

    await asyncio.to_thread(assert_left, broker, tmp_path, Left(2, 2))


def test_every_point_is_shown() -> None:
    shown = {case.at.partition(":")[0] for case in CASES} | TOLD.keys()

    assert shown == {each.value for each in CrashPoint}
