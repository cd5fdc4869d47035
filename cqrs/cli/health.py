"""Ask a running service how it is, as the health check of a container does: with the standard library alone.

An orchestrator asks every few seconds, so this imports next to nothing: the settings and the command line would take
ten times as long as the answer.
"""

import http.client
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LIVENESS, READINESS = "liveness", "readiness"
WELL, MISSING, UNANSWERED = 0, 1, 2
SECONDS = 3.0
"""How long the answer may take; probes answer in milliseconds."""

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", "8081"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what is listened on, not by us
_FILES = (".env", "service.yaml")


def health_at_once(arguments: Sequence[str]) -> int | None:
    """Carry out `health`, `health liveness` or `health readiness` and return the exit code.

    Returns None for anything else, and where a file of settings may say another port than the environment does: then
    the command line, which reads the settings, has to do it.

    Args:
        arguments: The command line, without the program's name.
    """
    if not arguments or arguments[0] != "health" or len(arguments) > 2:
        return None
    probe = arguments[1] if len(arguments) == 2 else READINESS
    in_files = "CONFIG_FILE" in os.environ or any(Path(each).exists() for each in _FILES)
    port = os.environ.get("MANAGEMENT_PORT", DEFAULT_PORT)
    if probe not in (LIVENESS, READINESS) or in_files or not port.isdecimal():
        return None
    return tell(probe, os.environ.get("MANAGEMENT_HOST", DEFAULT_HOST), int(port))


def tell(probe: str, host: str, port: int) -> int:
    """Print one line for each part that is not well, or that all are, and return the exit code.

    Args:
        probe: `liveness` or `readiness`.
        host: Where the management port is listened on.
        port: The management port.
    """
    if not port:
        print("error: MANAGEMENT_PORT is 0, any free one: name one to ask for it", file=sys.stderr)  # noqa: T201
        return UNANSWERED
    try:
        status, answer = ask(probe, host, port)
    except (OSError, TypeError, ValueError, http.client.HTTPException) as error:
        problem = f"{type(error).__name__}: {error}"
        print(f"error: nobody answers at {host}:{port} ({problem}); is the service running?", file=sys.stderr)  # noqa: T201
        return UNANSWERED
    missing = list(_missing(answer))
    print("\n".join(missing) if missing or status != http.client.OK else f"{probe}: all is well")  # noqa: T201
    return MISSING if missing or status != http.client.OK else WELL


def ask(probe: str, host: str, port: int) -> tuple[int, Mapping[str, object]]:
    """Return the status and the answer of a probe.

    Raises:
        OSError: nobody answers.
        TypeError, ValueError: what answers is no service of this kind.
    """
    connection = http.client.HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=SECONDS)
    try:
        connection.request("GET", f"/actuator/health/{probe}")
        response = connection.getresponse()
        answer = json.load(response)
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise TypeError(f"it answers {response.status}, and that is no health")
    return response.status, answer


def _missing(answer: Mapping[str, object]) -> Sequence[str]:
    components = answer.get("components")
    if not isinstance(components, dict):
        return [f"it answers no health: {str(answer)[:100]}"]
    return [f"{name}: {_reason(each)}" for name, each in components.items() if each.get("status") == "DOWN"]


def _reason(component: Mapping[str, object]) -> object:
    details = component.get("details")
    return details.get("reason", "down") if isinstance(details, dict) else "down"
