"""Rule: an unreachable trace collector delays neither work nor shutdown past its budget."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cqrs.telemetry.tracing import configure_tracing

BUDGET_SECONDS = 2.0
SPANS = 5_000
PROTOCOLS = ("http/protobuf", "grpc")


@pytest.fixture
def refusing() -> Iterator[str]:
    """Answer an endpoint whose port is taken but not listened on: every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """Answer an endpoint that accepts connections, as the kernel does for a listening socket, and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("collector", ["refusing", "silent"])
def test_an_absent_collector_delays_neither_work_nor_shutdown(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, collector: str, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", request.getfixturevalue(collector))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")  # the collector is asked while the work goes on
    tracing = configure_tracing("orders", "1.0")

    began = time.monotonic()
    for _ in range(SPANS):
        with tracing.tracer.span("work"):
            pass
    worked = time.monotonic() - began
    all_sent = tracing.shutdown(BUDGET_SECONDS)
    ended = time.monotonic() - began - worked

    assert tracing.exporters == ("otlp",)
    assert not all_sent
    assert worked < 5.0, "5,000 spans take well under a second when nobody waits; a waiting exporter takes 10 s a batch"
    assert ended < BUDGET_SECONDS + 0.5


def test_a_collector_that_is_down_is_said_once(
    refusing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing)
    tracing = configure_tracing("orders", "1.0")
    with tracing.tracer.span("work"):
        pass

    answers = {tracing.shutdown(0.2), tracing.shutdown(0.2)}

    assert answers == {False}
    said = [record for record in caplog.records if record.name == "cqrs.telemetry.tracing"]
    assert [record.getMessage() for record in said] == [
        "The trace collector did not take the last spans within 0.2 s; they are given up."
    ]


def test_a_process_ends_in_time_while_its_collector_is_silent(silent: str) -> None:
    script = (
        "from cqrs.telemetry.tracing import configure_tracing\n"
        "import time\n"
        "tracing = configure_tracing('orders', '1.0')\n"
        "with tracing.tracer.span('work'): pass\n"
        "print('down', flush=True)\n"
        "tracing.shutdown(0.5)\n"
    )
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": silent}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own script
        assert process.stdout is not None
        assert process.stdout.readline() == b"down\n"
        began = time.monotonic()
        process.wait(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - began < BUDGET_SECONDS
