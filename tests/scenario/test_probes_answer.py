"""Both probes answer at once while a handler keeps the processor busy in the event loop, and say what is missing."""

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.runtime import Service, ServiceParts
from cqrs.sql.migrating import migrate
from cqrs.testing.postgres_server import PostgresServer, find_postgres
from cqrs.types import Command, message_type
from service.adapters.schema import MIGRATIONS
from service.bootstrap import order_service
from service.settings import COMMANDS
from tests.conftest import MEASURED
from tests.scenario.deployment import SECONDS, Deployed, deployed, settings_in

ROUNDS = 20
MOST_SECONDS = 0.25
"""The promise is 0.05 s; a machine that others use too is given five times as long."""

PROBES = ("liveness", "readiness")

# Whoever asks is another process, as a kubelet is: in this one it would wait for the interpreter as well.
ASKING = """
import http.client, sys, time
host, _, port = sys.argv[1].rpartition("/")[2].rpartition(":")
for _ in range(int(sys.argv[2])):
    for probe in ("liveness", "readiness"):
        begun = time.perf_counter()
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", f"/actuator/health/{probe}")
        status = connection.getresponse().status
        connection.close()
        print(probe, status, time.perf_counter() - begun, flush=True)
"""

burning, enough = threading.Event(), threading.Event()


@message_type("t.Burn")
@dataclass(frozen=True)
class Burn(Command[str]):
    """Ask for the processor to be kept busy."""

    what: str


@command_handler
@service
class BurnHandler(CommandHandler[Burn, str]):
    """Compute in the event loop until it is enough."""

    async def do_handle(self, command: Burn) -> str:
        burning.set()
        until = time.monotonic() + SECONDS
        while not enough.is_set() and time.monotonic() < until:
            sum(range(1000))
        if not enough.is_set():
            burning.clear()  # it burned down too early
        return command.what


def burner(folder: Path, **changed: object) -> Service:
    schema = {"type": "record", "namespace": "t", "name": "Burn", "fields": [{"name": "what", "type": "string"}]}
    (folder / "schemas").mkdir()
    (folder / "schemas" / "t.Burn.avsc").write_text(json.dumps(schema), "utf-8")
    settings = settings_in(
        folder, topics={COMMANDS: 1}, command_topics=(COMMANDS,), schemas_path=folder / "schemas", **changed
    )
    burning.clear()
    enough.clear()
    return Service(settings, ServiceParts(packages=(__name__,)))


async def asked_while_it_burns(found: Deployed, ask: Callable[[str], str]) -> str:
    """Return what `ask` makes of the management port from a thread, while the event loop computes."""

    def wait_and_ask() -> str:
        try:
            assert burning.wait(SECONDS)
            return ask(found.service.management_url)
        finally:
            enough.set()

    asking = asyncio.get_running_loop().run_in_executor(None, wait_and_ask)
    await found.produce(b'{"type": "t.Burn", "data": {"what": "oil"}}')
    return await asking


def ask_often(url: str) -> str:
    command = [sys.executable, "-c", ASKING, url, str(ROUNDS)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout  # noqa: S603


def answer_of(url: str, probe: str) -> tuple[int, str]:
    try:
        with urlopen(f"{url}/actuator/health/{probe}", timeout=SECONDS) as answer:  # noqa: S310 - our own server
            return int(answer.status), answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def ask_until_not_live(url: str) -> str:
    until = time.monotonic() + SECONDS
    status, text = answer_of(url, "liveness")
    while status == 200 and time.monotonic() < until:
        status, text = answer_of(url, "liveness")
    return text


@pytest.mark.asyncio
async def test_they_answer_while_a_handler_computes(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with deployed(burner(tmp_path)) as found:
        said = await asked_while_it_burns(found, ask_often)

    assert burning.is_set()
    answers = [line.split() for line in said.splitlines()]
    assert len(answers) == len(PROBES) * ROUNDS
    assert {status for _, status, _ in answers} == {"200"}
    medians = {name: statistics.median(float(s) for probe, _, s in answers if probe == name) for name in PROBES}
    shown = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in medians.items())
    record_property(MEASURED, f"while a handler computes, median of {ROUNDS}: {shown}")
    assert max(medians.values()) < MOST_SECONDS


@pytest.mark.asyncio
async def test_a_loop_that_stands_still_for_too_long_asks_for_a_restart(tmp_path: Path) -> None:
    async with deployed(burner(tmp_path, liveness_seconds=1.0)) as found:
        said = await asked_while_it_burns(found, ask_until_not_live)

    assert "the event loop has not turned for" in said


@pytest.mark.asyncio
async def test_a_registry_that_is_away_is_named(tmp_path: Path) -> None:
    async with deployed(order_service(settings_in(tmp_path, schema_registry_url="http://127.0.0.1:1"))) as found:
        answer = await found.unready("registry")
        live, _ = await asyncio.to_thread(answer_of, found.service.management_url, "liveness")

    assert "127.0.0.1" in str(answer)
    assert live == 200


@pytest.mark.postgres
@pytest.mark.asyncio
async def test_a_database_that_goes_away_is_missing_until_it_is_back(tmp_path: Path) -> None:
    if find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install -y postgresql)")
    with PostgresServer() as server:
        await migrate(server.url(), MIGRATIONS)
        settings = settings_in(tmp_path, database_url=server.url(), readiness_interval_seconds=0.2)
        async with deployed(order_service(settings)) as found:
            await asyncio.to_thread(server.stop, "immediate")
            await found.unready("database")
            live, _ = await asyncio.to_thread(answer_of, found.service.management_url, "liveness")
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(SECONDS):
                while (await asyncio.to_thread(answer_of, found.service.management_url, "readiness"))[0] != 200:
                    pass

    assert live == 200
