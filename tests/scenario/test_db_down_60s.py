"""A database that is away for 60 s: nothing is lost or refused, no attempt is spent, and readiness says why."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cqrs.sql.migrating import migrate
from cqrs.testing.postgres_server import PostgresServer, find_postgres
from service.adapters.schema import MIGRATIONS
from service.bootstrap import order_service
from tests.conftest import MEASURED
from tests.scenario.deployment import DEAD_LETTERS, deployed, settings_in

ORDERS = 60
AWAY_SECONDS = 60.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip(
            "PostgreSQL's server is not installed. To run this: apt-get install -y postgresql; "
            "pytest tests/scenario/test_db_down_60s.py"
        )
    with PostgresServer() as started:
        yield started


@pytest.mark.postgres
@pytest.mark.asyncio
async def test_everything_that_came_meanwhile_is_done_when_it_is_back(
    server: PostgresServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = settings_in(
        tmp_path,
        database_url=server.url(),
        database_connect_timeout_seconds=2.0,
        retry_max_attempts=1,  # one attempt that is spent would put a command aside
        retry_backoff_min_ms=100,
        retry_backoff_max_ms=2_000,
    )
    await migrate(server.url(), MIGRATIONS)
    async with deployed(order_service(settings)) as found:
        found.create("o-0")
        await found.events(1)
        await asyncio.to_thread(server.stop, "immediate")
        for number in range(1, ORDERS):
            found.create(f"o-{number}")
        why = await found.unready("database")
        await asyncio.sleep(AWAY_SECONDS)  # the outage itself
        await asyncio.to_thread(server.start)
        back = asyncio.get_running_loop().time()
        events = await found.events(ORDERS)
        seconds = asyncio.get_running_loop().time() - back
        letters = await asyncio.to_thread(found.client.read, [DEAD_LETTERS])

    ids = {dict(each.message.headers)["ce_id"] for each in events}
    assert letters == []
    assert {each.message.key for each in events} == {f"o-{number}".encode() for number in range(ORDERS)}
    assert len(ids) == ORDERS, "a repeat carries the same id"
    assert "database" in str(why)
    record_property(MEASURED, f"database away for 60 s: 0 of {ORDERS} lost or refused, all done {seconds:.1f} s after")
