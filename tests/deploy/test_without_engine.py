"""The image and compose.yaml do what they promise on real servers, without an engine."""

import asyncio
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from cqrs.testing.fixtures import without_server
from cqrs.testing.free_ports import free_ports
from cqrs.testing.jaeger_server import JaegerServer
from cqrs.testing.postgres_server import PostgresServer, PostgresServerException
from cqrs.testing.registry_server import RegistryServer
from tests.conftest import MEASURED
from tests.deploy.compose import addresses_in, environment_of, in_order, ours, services
from tests.deploy.compose_kafka import ComposeKafka
from tests.deploy.image import Image, build_image, missing_for_image
from tests.deploy.traced import EXPECTED, readme_command, shape, told, trace_of

pytestmark = pytest.mark.deploy

SECONDS = 120.0
LARGEST = 250_000_000
"""What the image may add to its base at most, in bytes."""

ALL = services()
OURS = ours(ALL)
Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    missing = missing_for_image()
    if missing:
        without_server(missing)
    return build_image(tmp_path_factory.mktemp("image"))


def run(command: Sequence[str]) -> Run:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a process running, its output in `log`."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.kill()


def until_well(process: subprocess.Popen[bytes], health: Sequence[str], log: Path) -> float:
    """Ask for a service's health until it is well, and return the seconds that took."""
    began = time.monotonic()
    asked = run(health)
    while asked.returncode:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() - began < SECONDS, f"{asked.stdout}{asked.stderr}\n{log.read_text()}"
        asked = run(health)
    return time.monotonic() - began


def stopped(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """End a process as an engine does, and return its exit code and the seconds that took."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS), time.monotonic() - began


def test_it_is_small_and_holds_no_tools(image: Image, record_property: Callable[[str, object], None]) -> None:
    added = image.bytes_added()
    record_property(MEASURED, f"the image adds {added / 1e6:.0f} MB to its base")
    tools = {path.name for path in (image.layers / "opt/venv/bin").iterdir()}

    assert added < LARGEST
    assert not {"pip", "gcc", "cc", "ld", "as", "make", "uv"} & tools
    assert {path.name for path in (image.layers / "app").iterdir()} == {"cqrs", "service", "schemas"}


def test_its_user_can_write_nothing_but_tmp_and_holds_no_privilege(image: Image) -> None:
    privileges = "grep ^Cap[A-Za-z]*:.*[1-9a-f] /proc/self/status"
    writable = "find /app /opt/venv -writable ! -type l"

    done = run(image.bare_command(["sh", "-c", f"id -u; id -g; {privileges}; {writable}; touch /tmp/x; touch /app/x"]))

    assert done.stdout.split() == ["10001", "10001"]
    assert "Read-only file system" in done.stderr


def test_it_knows_its_version_and_lists_its_commands(image: Image) -> None:
    done = run(image.command(["--help"]))

    assert done.returncode == 0, done.stderr
    for name in ("run", "migrate", "topics", "schemas", "health", "send"):
        assert re.search(rf"^. {name} ", done.stdout, flags=re.MULTILINE), done.stdout
    assert "SERVICE_VERSION = 0.0.0-dev" in run(image.command(["settings"])).stdout


def test_its_processes_begin_at_the_same_time_without_disturbing_each_other(image: Image) -> None:
    with ThreadPoolExecutor(4) as several:
        done = list(several.map(run, [image.bare_command(["true"])] * 80))

    assert [each.stderr for each in done if each.returncode] == []


@pytest.fixture(scope="module")
def kafka(kafka_jars: Path) -> Iterator[ComposeKafka]:
    with ComposeKafka(kafka_jars, environment_of(ALL["kafka"])) as broker:
        yield broker


def test_with_a_cluster_alone_it_is_well_and_ends_in_time(image: Image, kafka: ComposeKafka, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    alone = {"KAFKA_BOOTSTRAP_SERVERS": kafka.at(19092), "KAFKA_GROUP_ID": "alone", "MANAGEMENT_PORT": str(port)}
    made = run(image.command(["topics", "create"], alone))
    assert made.returncode == 0, made.stdout + made.stderr

    with running(image.command(image.arguments, alone), tmp_path / "log") as process:
        until_well(process, image.bare_command(image.healthcheck, alone), tmp_path / "log")
        code, _ = stopped(process)

    assert code == 0, (tmp_path / "log").read_text()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """Start a database server with the user and the database that compose.yaml makes."""
    told_to_it = environment_of(ALL["postgres"])
    try:
        server = PostgresServer()
    except PostgresServerException as error:
        without_server(str(error))
    with server:
        asyncio.run(made_in(server, told_to_it["POSTGRES_USER"], told_to_it["POSTGRES_DB"]))
        yield server


async def made_in(server: PostgresServer, user: str, database: str) -> None:
    connection = await asyncpg.connect(server.url(driver="postgresql"))
    await connection.execute(f"CREATE ROLE {user} LOGIN")
    await connection.execute(f"CREATE DATABASE {database} OWNER {user}")
    await connection.close()


@pytest.fixture(scope="module")
def jaeger(jaeger_program: Path) -> Iterator[JaegerServer]:
    """Start a Jaeger as compose.yaml configures it."""
    with JaegerServer(jaeger_program, environment_of(ALL["jaeger"])["CONFIG"]) as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(
    kafka: ComposeKafka, postgres: PostgresServer, registry_server: RegistryServer, jaeger: JaegerServer
) -> Mapping[str, str]:
    """Say where each address of compose.yaml is on this machine."""
    return {
        "kafka:19092": kafka.at(19092),
        "postgres:5432": f"127.0.0.1:{postgres.port}",
        "registry:8081": registry_server.url.removeprefix("http://"),
        "jaeger:4318": jaeger.otlp_http.removeprefix("http://"),
        "localhost:16686": jaeger.query.url.removeprefix("http://"),
    }


def told_here(name: str, elsewhere: Mapping[str, str]) -> dict[str, str]:
    """Return what compose.yaml tells a service, its addresses replaced by those of this machine."""
    found = environment_of(OURS[name])
    for variable, value in found.items():
        for host, port in addresses_in(value):
            if f"{host}:{port}" in elsewhere:
                found[variable] = value.replace(f"{host}:{port}", elsewhere[f"{host}:{port}"])
    return found


def test_what_compose_says_leads_from_nothing_to_a_traced_command(
    image: Image,
    elsewhere: Mapping[str, str],
    jaeger: JaegerServer,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    log, (port,) = tmp_path / "log", free_ports(1)
    began = time.monotonic()
    for name in in_order(ALL):
        if name in OURS and name != "service":
            done = run(image.command(OURS[name]["command"], told_here(name, elsewhere)))
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    environment = {**told_here("service", elsewhere), "MANAGEMENT_PORT": str(port)}
    health = OURS["service"]["healthcheck"]["test"][1:]

    with running(image.command(OURS["service"]["command"], environment), log) as process:
        until_well(process, image.bare_command(health, environment), log)
        ready = time.monotonic() - began
        sent = run(image.bare_command(readme_command(), environment))
        assert sent.returncode == 0, f"{sent.stdout}{sent.stderr}\n{log.read_text()}"
        trace = trace_of(jaeger.query, told(sent.stdout, "correlation"))
        code, seconds = stopped(process)

    assert "orders.OrderCreated" in sent.stdout
    assert told(sent.stdout, "trace") == jaeger.query.link(trace[0].trace_id)
    assert shape(trace) == EXPECTED
    assert {span.attributes["correlation_id"] for span in trace} == {told(sent.stdout, "correlation")}
    assert code == 0, log.read_text()
    assert seconds < float(environment["SHUTDOWN_TIMEOUT_SECONDS"])
    record_property(MEASURED, f"topics, tables, schemas, ready in {ready:.1f} s; SIGTERM ends it in {seconds:.1f} s")
