"""The whole on a container engine: build, up, the README's command, its trace, a stop in order, down.

`make e2e` runs it. It uses a project and ports of its own, so what is up already stays as it is.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cqrs.testing.free_ports import free_ports
from cqrs.testing.jaeger_query import JaegerQuery, TraceNotFoundException
from tests.deploy.compose import COMPOSE, environment_of, services, variables
from tests.deploy.dockerfile import ROOT
from tests.deploy.traced import EXPECTED, readme_command, shape, told, trace_of

PROJECT = "orders-e2e"
UP_SECONDS = "300"
MISSING = 3
"""The exit code where there is no engine; 1 is a failure."""

_ENGINE = (("docker", "version"), "a container engine that answers")
_COMPOSE = (("docker", "compose", "version"), "Docker Compose 2.33 or newer (`docker compose`)")


class FailedException(Exception):
    """Report which step failed, and how."""


def missing() -> list[str]:
    """Name what this machine lacks."""
    if shutil.which("docker") is None:
        return ["the program `docker`"]
    return [name for command, name in (_ENGINE, _COMPOSE) if subprocess.run(command, capture_output=True).returncode]


def run(command: Sequence[str]) -> str:
    """Run a command in the checkout and return its output.

    Raises:
        FailedException: it ended with another exit code than 0; its output is told.
    """
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedException(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    """Return the environment of every command: this project, its own image, ports that are free."""
    return (
        os.environ | {"COMPOSE_PROJECT_NAME": PROJECT, "IMAGE": f"{PROJECT}:test", "COMPOSE_PROFILES": "ui,obs"} | PORTS
    )


def _ports() -> dict[str, str]:
    names = [name for name in variables(COMPOSE.read_text("utf-8")) if name.startswith("PORT_")]
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))


PORTS = _ports()


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"{title} ...", flush=True)
    began = time.monotonic()
    yield
    print(f"    {time.monotonic() - began:.1f} s", flush=True)


def play() -> None:
    """Go from nothing to a traced command and back.

    Raises:
        FailedException: a step failed.
        TraceNotFoundException: the command has no trace in Jaeger, or more than one.
    """
    with step("docker compose build"):
        run(["docker", "compose", "build", "service"])
    size = int(run(["docker", "image", "inspect", "--format", "{{.Size}}", environment()["IMAGE"]]))
    print(f"    the image has {size / 1e6:.0f} MB")
    with step("without a file system to write, without privileges"):
        run(["docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", environment()["IMAGE"], "settings"])
    with step("docker compose up --wait"):
        run(["docker", "compose", "up", "--wait", "--wait-timeout", UP_SECONDS])
    with step("the README's command"):
        printed = run(["docker", "compose", "exec", "--no-TTY", "service", *readme_command()])
        print(printed)
    with step("its trace, by its correlation id"):
        jaeger = JaegerQuery(f"http://localhost:{PORTS['PORT_JAEGER']}")
        trace = trace_of(jaeger, told(printed, "correlation"))
        if shape(trace) != EXPECTED or told(printed, "trace") != jaeger.link(trace[0].trace_id):
            raise FailedException(f"the trace is another: {json.dumps(shape(trace), indent=2)}")
    with step("docker compose stop service"):
        began = time.monotonic()
        run(["docker", "compose", "stop", "service"])
        seconds = time.monotonic() - began
    states = run(["docker", "compose", "ps", "--all", "--format", "{{.ExitCode}}", "service"]).split()
    budget = float(environment_of(services()["service"])["SHUTDOWN_TIMEOUT_SECONDS"])
    if states != ["0"] or seconds > budget:
        raise FailedException(
            f"it ended with exit code {states} after {seconds:.1f} s; 0 within {budget:g} s it must be"
        )


def main() -> int:
    """Run everything, leave nothing behind, and return the exit code."""
    if lacks := missing():
        print(
            f"make e2e needs {' and '.join(lacks)}; what runs without: make test-servers ARGS=tests/deploy",
            file=sys.stderr,
        )
        return MISSING
    try:
        play()
    except (FailedException, TraceNotFoundException, AssertionError) as error:
        print(error, file=sys.stderr)
        subprocess.run(["docker", "compose", "logs", "--tail", "50"], cwd=ROOT, env=environment(), check=False)
        return 1
    finally:
        for leaving in (["compose", "down", "--volumes", "--remove-orphans"], ["image", "rm", environment()["IMAGE"]]):
            subprocess.run(["docker", *leaving], cwd=ROOT, env=environment(), check=False)
    print("from nothing to a traced command and back: well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
