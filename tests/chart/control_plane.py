"""A Kubernetes API server of the tests' own: etcd, kube-apiserver and kube-controller-manager, without nodes.

Built once from Go modules that go.sum pins, into the cache: `python -m tests.chart.control_plane` does that with
progress, some minutes on two cores. Nothing runs containers here; `tests.chart.node` stands in for a kubelet.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cqrs.testing.certificates import CertificateAuthority
from cqrs.testing.free_ports import free_ports
from cqrs.testing.server_block import ServerBlock
from tests.chart import tools

MODULE = Path(__file__).parent / "apiserver"
PROGRAMS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
READY_SECONDS = 60.0
_TOKEN = "tests"


def programs(*, build: bool = True) -> Path:
    """Return the folder with the programs, from the cache or built now.

    Args:
        build: Whether to build them where they are not there.

    Raises:
        ToolMissingException: Go is missing or failed, or they are not there and are not to be built.
    """
    folder = tools.folder_for("control-plane", [MODULE / "go.mod", MODULE / "go.sum"])
    if not build and not folder.exists():
        raise tools.ToolMissingException(
            "the API server is not built yet. To run these: make tools (Go, minutes, once)"
        )
    return tools.made(folder, _build)


def _build(folder: Path) -> None:
    for number, (name, package) in enumerate(PROGRAMS.items(), 1):
        _say(f"building {name} ({number} of {len(PROGRAMS)})")
        begun = time.monotonic()
        flags = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        # Not optimized: that takes a quarter off the build, and what is shared with Jaeger's is compiled once.
        quick = ["-trimpath", f"-ldflags={_linked()}", "-gcflags=all=-N -l"]
        command: list[str | Path] = ["go", "build", *quick, "-o", folder / name, package]
        tools.run(command, missing=tools.GO, folder=MODULE, **flags)
        _say(f"  {time.monotonic() - begun:.0f} s")


def _linked() -> str:
    """Return what the linker is told: no symbols, and the release that the module is, which it does not know itself."""
    release = re.search(r"k8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)", (MODULE / "go.mod").read_text("utf-8"))
    if release is None:
        raise ValueError(f"{MODULE / 'go.mod'} names no release of k8s.io/kubernetes")
    told = {"gitVersion": f"v{release[1]}", "gitMajor": release[2], "gitMinor": release[3]}
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items())])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - of a command


class ControlPlane(ServerBlock):
    """Run an API server on free ports of 127.0.0.1, with its data in a temporary folder.

    It enforces Pod Security as its namespaces ask; a Deployment becomes ReplicaSets and Pods, a Job Pods, and no
    Pod is ever run.

    Attributes:
        folder: Where data, logs and the kubeconfig are, until it is closed.
        kubeconfig: How Helm and kubectl reach it.
        seconds: How long the start took.
    """

    def __init__(self, built: Path) -> None:
        self._built = built
        self.folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.seconds = 0.0

    def start(self) -> None:
        """Start it, and return once it answers."""
        begun = time.monotonic()
        self._start()
        self.seconds = time.monotonic() - begun

    def close(self) -> None:
        """Kill it and delete its data; harmless when called again."""
        for process in reversed(self._processes):  # what they know is thrown away, so nothing has to be ended in order
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, path: str, method: str = "GET", body: object = None, kind: str = "application/json") -> Any:
        """Return what the API server answers, as JSON.

        Raises:
            urllib.error.HTTPError: it refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": kind}
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)  # noqa: S310 - 127.0.0.1
        with urllib.request.urlopen(request, timeout=10, context=self._tls) as answer:  # noqa: S310
            return json.loads(answer.read() or b"{}")

    def _start(self) -> None:
        etcd, peer, self._port = free_ports(3)
        authority = CertificateAuthority(self.folder)
        server, accounts = authority.sign("server", "127.0.0.1", "localhost"), authority.sign("accounts")
        self._url = f"https://127.0.0.1:{self._port}"
        self._tls = ssl.create_default_context(cafile=str(authority.certificate))
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{_TOKEN},tests,tests,"system:masters"\n', "utf-8")
        self._write_kubeconfig(authority.certificate)
        here = f"http://127.0.0.1:{etcd}"
        self._run(
            "etcd", f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", f"--listen-client-urls={here}",
            f"--advertise-client-urls={here}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._run(
            "kube-apiserver", f"--etcd-servers={here}", f"--secure-port={self._port}", "--bind-address=127.0.0.1",
            f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}",
            f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={accounts.key}", f"--service-account-signing-key-file={accounts.key}",
            "--service-account-issuer=https://127.0.0.1", f"--cert-dir={self.folder}",
        )  # fmt: skip
        self._wait(lambda: self.ask("/api/v1/namespaces/default"))
        self._run(
            "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
            f"--service-account-private-key-file={accounts.key}", f"--root-ca-file={authority.certificate}",
            "--secure-port=0", "--controllers=*,-node-lifecycle-controller,-pod-garbage-collector-controller",
        )  # fmt: skip
        self._wait(lambda: self.ask("/api/v1/namespaces/default/serviceaccounts/default"))

    def _wait(self, answered: Any) -> None:
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                answered()
            except (OSError, ValueError):
                ended = [each for each in self._processes if each.poll() is not None]
                if ended or time.monotonic() > until:
                    logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))
                    raise tools.ToolMissingException(f"the control plane does not start:\n{logs}") from None
                time.sleep(0.1)
            else:
                return

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([str(self._built / name), *arguments], stdout=log, stderr=log)  # noqa: S603
        self._processes.append(process)

    def _write_kubeconfig(self, authority: Path) -> None:
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": self._url, "certificate-authority": str(authority)}}],
            "users": [{"name": "tests", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }  # fmt: skip
        self.kubeconfig.write_text(json.dumps(content), "utf-8")

    def environment(self) -> dict[str, str]:
        """Return the environment in which Helm and kubectl reach this server, and keep nothing elsewhere."""
        homes = {f"HELM_{name}_HOME": str(self.folder / "helm") for name in ("CACHE", "CONFIG", "DATA")}
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), **homes}


def main(arguments: Sequence[str] = ()) -> None:
    """Get every tool into the cache, and build the programs, unless they are there."""
    for each in (tools.packages, tools.promtool, tools.custom_resources, programs):
        print(each())  # noqa: T201 - a command


if __name__ == "__main__":
    main()
