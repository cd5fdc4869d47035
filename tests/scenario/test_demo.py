"""`python -m service demo` shows every command's outcome and ends with 0; what it says to type works afterwards."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60


def environment(**more: str) -> dict[str, str]:
    """Return the environment without what would change the service, and with 80 columns."""
    own = ("KAFKA_", "SCHEMA_REGISTRY_", "DATABASE_", "CQRS__", "OTEL_", "CONFIG_FILE", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "MANAGEMENT_PORT": "0", **more}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a working directory that is not the checkout, with the schemas in it."""
    made = tmp_path_factory.mktemp("service")
    (made / "schemas").symlink_to(ROOT / "schemas")
    return made


def service(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, "-m", "service", *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(folder: Path) -> str:
    """Run the demo once, as beside a service on another cluster, and return what it printed."""
    ran = service(folder, "demo", KAFKA_BOOTSTRAP_SERVERS="nowhere:1", DATABASE_URL="postgresql+asyncpg://nowhere/x")
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def section(printed: str, title: str) -> str:
    return printed.split(f"\n{title}", 1)[1].split("\n\n", 1)[0]


def test_it_tells_how_far_it_is(demo: str) -> None:
    assert len(re.findall(r"^ +\d+\.\d s  \w", demo, re.MULTILINE)) == 6


def test_it_keeps_within_80_columns(demo: str) -> None:
    assert max(len(line.rstrip()) for line in demo.splitlines() if sys.executable not in line) <= 80


def test_every_command_has_its_outcome(demo: str) -> None:
    rows = re.findall(r"^ *(\d+)  (\w+) .* (refused: \w+|orders\.\w+) *$", section(demo, "What became"), re.MULTILINE)

    assert [int(number) for number, _, _ in rows] == list(range(1, 15))
    assert sum(outcome.startswith("refused") for _, _, outcome in rows) == 7
    assert "14 commands: 7 handled, 7 refused, each as it should be" in demo


def test_the_events_are_decoded_and_count_their_versions(demo: str) -> None:
    said = re.sub(r"\s+", " ", section(demo, "The events"))

    assert len(re.findall(r"orders\.\w+ orders\.events\[\d\]@\d", said)) == 7
    assert '"total": "139.98", "version": 1' in said
    for order_id, versions in (("o-1", ["1", "2", "3"]), ("o-2", ["1", "2"]), ("o-3", ["1", "2"])):
        assert re.findall(rf'"order_id": "{order_id}".*?"version": (\d)', said) == versions


def test_one_trace_leads_from_the_sender_to_the_reader(demo: str) -> None:
    trace = section(demo, "The trace")

    assert re.search(r"^correlation id [0-9a-f-]{36}$", trace, re.MULTILINE)
    drawn = [(line.index("─ ") // 4, line[line.index("─ ") + 2 :]) for line in trace.splitlines() if "─ " in line]
    assert [(depth, re.sub(r"  [\d.]+ ms .*", "", text)) for depth, text in drawn] == [
        (0, "send orders.commands"),
        (1, "process orders.commands"),
        (2, "command orders.CancelOrder"),
        (3, "handle CancelOrderHandler"),
        (3, "send orders.events"),
        (4, "process orders.events"),
    ]
    assert all(re.search(r"  [\d.]+ ms ", text) for _, text in drawn)


def test_what_it_says_to_type_works_although_the_broker_is_gone(demo: str, folder: Path) -> None:
    typed = re.findall(r"^ +(\S+ -m service dead-letters \\\n.*--at \S+)$", demo, re.MULTILINE)
    assert len(typed) == 7

    for command in (typed[0], typed[2], typed[-1]):
        ran = subprocess.run(  # noqa: S603 - what the demo says to type is what is tested
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        assert "kafka_dlt-original-topic           orders.commands" in ran.stdout
        assert "stack trace" in ran.stdout
    taken = service(folder, *shlex.split(typed[2].replace("\\\n", ""))[3:])
    assert '"order_id": "o-2"' in taken.stdout  # an Avro value, decoded without a registry


def test_it_leaves_nothing_but_the_dead_letters(demo: str, folder: Path) -> None:
    assert "14 commands" in demo
    assert [path.name for path in (folder / ".local").rglob("*")] == ["demo", "dead-letters.jsonl"]


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Keep the service running, and return when it says that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "service", "run"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                break
        yield process
        process.kill()


def test_a_running_service_is_sent_commands_and_ends_in_order(folder: Path, running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    typed = running.stdout.readline().strip()
    assert " send orders.CreateOrder " in typed

    handled = service(folder, *shlex.split(typed)[3:])
    refused = service(folder, *shlex.split(typed)[3:], "--avro")
    listed = service(folder, "dead-letters")
    running.send_signal(signal.SIGTERM)

    assert (handled.returncode, "handled\norders.OrderCreated" in handled.stdout) == (0, True)
    assert (refused.returncode, "OrderExistsException" in refused.stdout) == (1, True)
    assert "OrderExistsException" in listed.stdout
    assert running.wait(SECONDS) == 0
    assert running.stdout.read().endswith("stopped\n")
    assert service(folder, "dead-letters").returncode == 2


def test_a_service_that_cannot_start_says_every_reason_without_a_traceback(folder: Path, tmp_path: Path) -> None:
    assert folder != tmp_path
    ran = service(tmp_path, "run")

    assert ran.returncode == 2
    assert "schemas" in ran.stderr
    assert "Traceback" not in ran.stderr
