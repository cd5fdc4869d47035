"""A stand-in for nodes and kubelets: it runs the containers of pods as processes of this machine.

It knows an image by its name and the command that stands for its entry point. What a container finds is what the API
server says: arguments, variables from ConfigMaps, Secrets and the downward API. Three things differ, because all pods
share one machine: each has a management port of its own, a folder of its own in place of its volumes, and a Service's
name leads to a pod that is ready behind it. Init containers come first, readiness is probed, SIGTERM comes before
SIGKILL after the pod's grace period.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cqrs.testing.free_ports import free_ports
from tests.chart.control_plane import ControlPlane
from tests.chart.rendering import Manifest

LOOK_SECONDS = 0.2
_PROBE_SECONDS = 1.0
_MERGE = "application/merge-patch+json"


@dataclass
class _Running:
    """Hold one pod that runs here.

    Attributes:
        pod: As the API server gave it at first.
        port: Its management port.
        folder: Where its files go.
        waiting: Containers that come after the one that runs.
        process: The container that runs.
        container: Its definition.
        is_ready: What the API server was told last.
        failures: Readiness probes that failed one after the other.
        probed_at: When readiness was asked for last.
        leaving_since: When it was told to end.
    """

    pod: Manifest
    port: int
    folder: Path
    waiting: list[Manifest]
    process: subprocess.Popen[bytes] | None = None
    container: Manifest = field(default_factory=dict)
    is_ready: bool = False
    failures: int = 0
    probed_at: float = 0.0
    leaving_since: float | None = None


class Node:
    """Run the pods of one namespace until it is closed.

    Args:
        plane: The API server.
        namespace: Whose pods.
        images: The command that stands for each image's entry point.

    Attributes:
        exits: The exit code of every container that ended, by pod and container.
        fewest_ready: The fewest pods of the service that were ready at once since `watch_capacity`.
    """

    def __init__(self, plane: ControlPlane, namespace: str, images: Mapping[str, Sequence[str]]) -> None:
        self._plane, self._namespace, self._images = plane, namespace, images
        self._running: dict[str, _Running] = {}
        self._told_to_stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="node", daemon=True)
        self._folder = Path(tempfile.mkdtemp(prefix="node-"))
        self.exits: list[tuple[str, str, int]] = []
        self.logs: dict[str, Path] = {}
        self.problems: list[str] = []
        self.fewest_ready: int | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told_to_stop.set()
        self._thread.join(30)
        for each in self._running.values():
            if each.process is not None and each.process.poll() is None:
                each.process.kill()
                each.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def watch_capacity(self) -> None:
        """Begin to count how many pods of the service are ready at least."""
        self.fewest_ready = self._ready()

    def log(self, beginning: str) -> str:
        """Return what the containers of the pods whose names begin so have printed."""
        return "\n".join(
            path.read_text(errors="replace") for name, path in self.logs.items() if name.startswith(beginning)
        )

    def _work(self) -> None:
        while not self._told_to_stop.is_set():
            try:
                self._look()
            except (OSError, ValueError, urllib.error.URLError) as error:
                self.problems.append(f"{type(error).__name__}: {error}")
            self._told_to_stop.wait(LOOK_SECONDS)

    def _look(self) -> None:
        pods = {each["metadata"]["uid"]: each for each in self._ask("pods")["items"]}
        for uid, pod in pods.items():
            if uid not in self._running and "deletionTimestamp" not in pod["metadata"]:
                self._take_up(uid, pod)
        for uid, running in list(self._running.items()):
            gone = uid not in pods or "deletionTimestamp" in pods[uid]["metadata"]
            self._go_on(running, leaving=gone)
            if gone and (running.process is None or running.process.poll() is not None):
                self._forget(uid, running, known=uid in pods)
        if self.fewest_ready is not None:
            self.fewest_ready = min(self.fewest_ready, self._ready())

    def _take_up(self, uid: str, pod: Manifest) -> None:
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        spec = pod["spec"]
        folder = self._folder / pod["metadata"]["name"]
        folder.mkdir(exist_ok=True)
        waiting = [*spec.get("initContainers", ()), *spec["containers"]]
        self._bind(pod)
        self._running[uid] = _Running(pod, free_ports(1)[0], folder, waiting)

    def _bind(self, pod: Manifest) -> None:
        """Tell the API server where the pod runs, so that it is ended in order and not at once."""
        name = pod["metadata"]["name"]
        body = {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "here"},
        }  # fmt: skip
        self._ask(f"pods/{name}/binding", "POST", body)

    def _go_on(self, running: _Running, *, leaving: bool) -> None:
        process = running.process
        if leaving:
            self._end(running)
        elif process is None or (process.poll() is not None and process.returncode == 0 and running.waiting):
            self._note_exit(running)
            self._start(running)
        elif process.poll() is not None:
            self._note_exit(running)
            self._settle(running)
        else:
            self._probe(running)

    def _start(self, running: _Running) -> None:
        container = running.container = running.waiting.pop(0)
        command = self._images[container["image"]]
        environment = dict(self._variables(running, container))
        name = running.pod["metadata"]["name"]
        path = self.logs.setdefault(f"{name}/{container['name']}", self._folder / f"{name}-{container['name']}.log")
        with path.open("ab") as log:
            running.process = subprocess.Popen(  # noqa: S603 - the command that the test gave
                [*command, *container.get("args", ())],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._tell(running, "Pending" if running.waiting else "Running", ready=False)

    def _variables(self, running: _Running, container: Manifest) -> Iterator[tuple[str, str]]:
        known = {"PATH": os.environ["PATH"]}
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                known |= self._ask(f"configmaps/{source['configMapRef']['name']}")["data"]
        for variable in container.get("env", ()):
            known[variable["name"]] = self._value(running.pod, variable, known)
        known["STATE_PATH"] = str(running.folder)
        service = known.get("MANAGEMENT_HOST", "")
        if service not in ("", "0.0.0.0"):  # noqa: S104 - what the pod would listen on
            known |= {"MANAGEMENT_HOST": "127.0.0.1", "MANAGEMENT_PORT": str(self._behind(service))}
        elif "MANAGEMENT_PORT" in known:
            known |= {"MANAGEMENT_HOST": "127.0.0.1", "MANAGEMENT_PORT": str(running.port)}
        yield from known.items()

    def _value(self, pod: Manifest, variable: Manifest, known: Mapping[str, str]) -> str:
        chosen = variable.get("valueFrom", {})
        if "secretKeyRef" in chosen:
            secret = self._ask(f"secrets/{chosen['secretKeyRef']['name']}")["data"]
            return base64.b64decode(secret[chosen["secretKeyRef"]["key"]]).decode()
        if "fieldRef" in chosen:
            return self._field(pod, chosen["fieldRef"]["fieldPath"])
        return re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), variable.get("value", ""))

    @staticmethod
    def _field(pod: Manifest, path: str) -> str:
        if path == "spec.nodeName":
            return "here"
        found: Any = pod
        for key in path.split("."):
            found = found[key]
        return str(found)

    def _behind(self, service: str) -> int:
        """Return the management port of a ready pod that the Service selects."""
        selector = self._ask(f"services/{service}")["spec"]["selector"]
        ready = [each for each in self._running.values() if each.is_ready and each.leaving_since is None]
        return next(each.port for each in ready if selector.items() <= each.pod["metadata"]["labels"].items())

    def _probe(self, running: _Running) -> None:
        """Ask for readiness as a kubelet does; only a pod that is not ready yet is asked at every look."""
        probe = running.container.get("readinessProbe")
        now = time.monotonic()
        if probe is None or (running.is_ready and now - running.probed_at < probe["periodSeconds"]):
            return
        running.probed_at = now
        well = _answers(f"http://127.0.0.1:{running.port}{probe['httpGet']['path']}")
        running.failures = 0 if well else running.failures + 1
        if well != running.is_ready and (well or running.failures >= probe["failureThreshold"]):
            self._tell(running, "Running", ready=well)

    def _settle(self, running: _Running) -> None:
        code = running.process.returncode if running.process else 1
        if running.pod["spec"]["restartPolicy"] == "Always":
            running.waiting.insert(0, running.container)
            running.process = None
        else:
            self._tell(running, "Failed" if code else "Succeeded", ready=False)
            del self._running[running.pod["metadata"]["uid"]]

    def _end(self, running: _Running) -> None:
        process = running.process
        if process is None or process.poll() is not None:
            return
        if running.leaving_since is None:
            running.leaving_since = time.monotonic()
            process.send_signal(signal.SIGTERM)
        elif time.monotonic() - running.leaving_since > running.pod["spec"]["terminationGracePeriodSeconds"]:
            process.kill()

    def _forget(self, uid: str, running: _Running, *, known: bool) -> None:
        self._note_exit(running)
        del self._running[uid]
        if known:
            with suppress(urllib.error.HTTPError):
                body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
                self._ask(f"pods/{running.pod['metadata']['name']}", "DELETE", body)

    def _note_exit(self, running: _Running) -> None:
        if running.process is not None:
            name = running.pod["metadata"]["name"]
            self.exits.append((name, running.container["name"], running.process.returncode))

    def _tell(self, running: _Running, phase: str, *, ready: bool) -> None:
        running.is_ready = ready
        truth = "True" if ready else "False"
        conditions = [{"type": kind, "status": truth} for kind in ("Ready", "ContainersReady")]
        started = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized")]
        status = {"phase": phase, "conditions": [*conditions, *started]}
        with suppress(urllib.error.HTTPError):  # it was deleted meanwhile
            self._ask(f"pods/{running.pod['metadata']['name']}/status", "PATCH", {"status": status}, _MERGE)

    def _ready(self) -> int:
        return sum(each.is_ready and each.leaving_since is None for each in self._running.values())

    def _ask(self, path: str, method: str = "GET", body: object = None, kind: str = "application/json") -> Any:
        return self._plane.ask(f"/api/v1/namespaces/{self._namespace}/{path}", method, body, kind)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - a port of this machine
            return bool(answer.status == 200)
    except OSError:
        return False
