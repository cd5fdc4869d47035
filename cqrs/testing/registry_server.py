"""A real schema registry for tests: Apicurio with its Confluent-compatible API, by Maven; no container."""

import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from cqrs.exceptions import CqrsException
from cqrs.testing.cache_folder import cache_folder
from cqrs.testing.free_ports import free_ports
from cqrs.testing.server_block import ServerBlock

VERSION = "3.0.9"
"""The Apicurio of the tests: the last one that runs on Java 17."""

# Pinned: newer plugins ask for a parent of Apicurio's project, which is not published.
_GET = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
_ARTIFACT = "io.apicurio:apicurio-registry-app:{version}:tar.gz:all"
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_MAVEN_SECONDS = 600
_START_SECONDS = 120.0
_STOP_SECONDS = 20.0


class RegistryServerException(CqrsException):
    """Report that the registry cannot be had on this machine or did not start, with its own words."""


def resolve_registry(version: str = VERSION) -> Path:
    """Return the folder of Apicurio, from the cache or by Maven.

    It is kept under `$XDG_CACHE_HOME/cqrs-service-template/registry/`.

    Raises:
        RegistryServerException: Maven is missing or failed; says what to try.
    """
    found = cache_folder("registry") / version
    if not found.exists():
        found.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=found.parent) as folder:
            _unpack(version, Path(folder))
            try:
                Path(folder, "app").rename(found)
            except OSError:
                if not found.exists():  # another process was first, which is as good
                    raise
    return found


class RegistryServer(ServerBlock):
    """Run Apicurio on a free port of 127.0.0.1, its schemas in memory.

    It may be stopped and started again on the same port, and has forgotten everything then::

        with RegistryServer(resolve_registry()) as server:
            ConfluentSchemaRegistry(server.url)

    Args:
        folder: Where Apicurio is; see `resolve_registry`.
        user: Who is let in; None lets everybody in.
        password: The password of that user.
    """

    def __init__(self, folder: Path, *, user: str | None = None, password: str = "") -> None:
        self._jar = next(folder.glob("*-runner.jar"))
        self._user = user
        self._password = password
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="registry-", suffix=".log")  # noqa: SIM115 - lives as long as this

    @property
    def url(self) -> str:
        """Return the address of its Confluent-compatible API."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def close(self) -> None:
        """Stop it and let its log go; harmless when called again."""
        self.stop()
        self._log.close()

    def start(self) -> None:
        """Start it, and return once it answers; harmless when it runs.

        Raises:
            RegistryServerException: it did not start; shows the end of its log.
        """
        if self._process is not None:
            return
        self._process = subprocess.Popen(  # noqa: S603 - java, with a fixed list of arguments
            ["java", *_JVM, *self._options(), "-jar", str(self._jar)],  # noqa: S607 - the one on the PATH
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                words = Path(self._log.name).read_text(errors="replace")[-2000:]
                raise RegistryServerException(f"the schema registry did not start:\n{words}")
            time.sleep(0.1)

    def freeze(self) -> None:
        """Let it answer nothing from now on, as when the network to it is cut."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again, with what it knew."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it; harmless when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _options(self) -> list[str]:
        given = {"quarkus.http.host": "127.0.0.1", "quarkus.http.port": str(self._port)}
        given |= {f"apicurio.datasource.jdbc.{name}-size": "2" for name in ("initial", "min")}
        if self._user is not None:
            users = "quarkus.security.users.embedded"
            given |= {
                "quarkus.http.auth.basic": "true",
                f"{users}.enabled": "true",
                f"{users}.plain-text": "true",
                f"{users}.users.{self._user}": self._password,
                f"{users}.roles.{self._user}": "sr-admin",
                "apicurio.auth.role-based-authorization": "true",
            }
        return [f"-D{name}={value}" for name, value in given.items()]

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except HTTPError as refused:
            refused.close()
            return False
        except (URLError, OSError):
            return False


def _unpack(version: str, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise RegistryServerException("mvn not found (Debian: apt-get install -y maven)")
    archive = folder / "registry.tar.gz"
    command = ["mvn", "-B", "-q", _GET, "-Dtransitive=false", f"-Dartifact={_ARTIFACT.format(version=version)}"]
    done = subprocess.run(  # noqa: S603 - a fixed list of arguments
        [*command, f"-Ddest={archive}"], capture_output=True, text=True, check=False, timeout=_MAVEN_SECONDS, cwd=folder
    )
    if done.returncode or not archive.exists():
        raise RegistryServerException(f"Maven could not get the schema registry: {(done.stdout + done.stderr)[-500:]}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "app", filter="data")
    archive.unlink()
