"""A real Apache Kafka broker for tests, from its jars by Maven; no container."""

import hashlib
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cqrs.exceptions import CqrsException
from cqrs.testing.cache_folder import cache_folder
from cqrs.testing.free_ports import free_ports
from cqrs.testing.server_block import ServerBlock

POM = Path(__file__).with_name("kafka.pom.xml")
"""The Maven project that names the Kafka of the tests."""

_FORMAT_SECONDS = 60
_MAVEN_SECONDS = 600
_STARTED = "Kafka Server started"
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


_LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %m%n
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
"""

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}
auto.create.topics.enable=false
broker.heartbeat.interval.ms=250
broker.session.timeout.ms=1500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=100
offsets.topic.num.partitions=1
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={acks}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={acks}
default.replication.factor={copies}
min.insync.replicas={acks}
log.cleaner.dedupe.buffer.size=4194304
offsets.load.buffer.size=1048576
transaction.state.log.load.buffer.size=1048576
"""


class KafkaServerException(CqrsException):
    """Report that the broker cannot be had on this machine or did not start, with its own words."""


def missing_tools() -> list[str]:
    """Name the programs that `resolve_jars` and `KafkaServer` need and that are not on the PATH."""
    return [name for name in ("java", "mvn") if shutil.which(name) is None]


def resolve_jars(pom: Path = POM) -> Path:
    """Return a folder with the jars that the Maven project `pom` names, from the cache or by Maven.

    The project that comes with this package names Kafka and a logging backend. The jars are kept under
    `$XDG_CACHE_HOME/cqrs-service-template/kafka/`, by the digest of the project file.

    Raises:
        KafkaServerException: Maven is missing or failed; says what to try.
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    jars = cache_folder("kafka") / digest
    if not jars.exists():
        jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
            _copy_dependencies(pom, Path(folder))
            _move(Path(folder, "lib"), jars)
    return jars


class KafkaServer(ServerBlock):
    """Run one Apache Kafka broker (KRaft) on free ports of 127.0.0.1, with its data in a temporary folder.

    It may be stopped or killed and started again on the same port, with its data::

        with KafkaServer(resolve_jars()) as server:
            produce(server.bootstrap_servers)
            server.kill()                # the broker is away
            server.start()               # and back

    Args:
        jars: A folder with the jars of Kafka and of a logging backend.
        listeners: Further listeners and their security protocols: `{"SECURED": "SASL_SSL"}`.
        properties: Further properties of the broker.
        scram: Users to be made, with their passwords, for SCRAM-SHA-256 and SCRAM-SHA-512.
        node: Its number in a cluster; `KafkaCluster` makes one.
        start_timeout_seconds: How long the broker may take until it answers.
        stop_timeout_seconds: How long it may take to stop in order before it is killed.
    """

    def __init__(
        self,
        jars: Path,
        *,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
        node: int = 1,
        start_timeout_seconds: float = 60.0,
        stop_timeout_seconds: float = 30.0,
    ) -> None:
        self._listeners = dict(listeners or {})
        self._further = dict(properties or {})
        self._scram = dict(scram or {})
        self._node = node
        self._cluster = Cluster(new_cluster_id(), ())
        self._classpath = str(jars / "*")
        self._start_timeout = start_timeout_seconds
        self._stop_timeout = stop_timeout_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self._properties = self._folder / "server.properties"
        self._port, self._controller, *ports = free_ports(2 + len(self._listeners))
        self._ports = dict(zip(self._listeners, ports, strict=True))
        self._process: subprocess.Popen[str] | None = None
        self._logging = self._folder / "log4j2.properties"
        self._logging.write_text(_LOGGING)
        self._has_started = False
        self._watcher: threading.Thread | None = None
        self._log: deque[str] = deque(maxlen=60)

    @property
    def bootstrap_servers(self) -> str:
        """Return `host:port` of the broker; the same after every start."""
        return f"127.0.0.1:{self._port}"

    @property
    def voter(self) -> str:
        """Return how other brokers of a cluster name this one."""
        return f"{self._node}@127.0.0.1:{self._controller}"

    def join(self, cluster: "Cluster") -> None:
        """Be one of several brokers; before the first start."""
        self._cluster = cluster

    def address(self, listener: str) -> str:
        """Return `host:port` of a further listener, by a host name that certificates are made for."""
        return f"localhost:{self._ports[listener]}"

    @property
    def is_running(self) -> bool:
        """Say whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the broker and return when it has started, in about three seconds; harmless when it runs.

        Raises:
            KafkaServerException: it did not start in time; the message ends with its log.
        """
        if self.is_running:
            return
        if not self._properties.exists():
            self._format()
        command = self._java("kafka.Kafka", str(self._properties))
        self._process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self._has_started = False
        told = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(self._process.stdout, told), daemon=True)
        self._watcher.start()
        told.wait(self._start_timeout)
        if not self._has_started:
            self.kill()
            raise KafkaServerException("Kafka did not start; its last words:\n" + "\n".join(self._log))

    def stop(self) -> None:
        """Stop the broker in order, its data kept; harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker as a crash does, its data kept; harmless when it does not run."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Kill the broker and delete its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _format(self) -> None:
        text = _PROPERTIES.format(
            node=self._node,
            voters=",".join(self._cluster.voters) or self.voter,
            copies=min(max(len(self._cluster.voters), 1), 3),
            acks=2 if len(self._cluster.voters) > 2 else 1,
            port=self._port,
            controller=self._controller,
            data=self._folder / "data",
            listeners="".join(f",{name}://localhost:{port}" for name, port in self._ports.items()),
            protocols="".join(f",{name}:{protocol}" for name, protocol in self._listeners.items()),
        )
        text += "".join(f"{name}={value}\n" for name, value in self._further.items())
        draft = self._properties.with_suffix(".draft")
        draft.write_text(text)
        command = self._java(
            "kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster.id}", "-c", str(draft), *self._users()
        )
        _run(command, _FORMAT_SECONDS)
        draft.rename(self._properties)

    def _users(self) -> Iterator[str]:
        for name, password in self._scram.items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                yield from ("--add-scram", f"{mechanism}=[name={name},password={password}]")

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise KafkaServerException(
                "Kafka needs Java 17 or newer; on Debian: apt-get install -y default-jre-headless."
            )
        return [
            java,
            *_JVM,
            f"-Dlog4j2.configurationFile={self._logging}",
            "-cp",
            self._classpath,
            main_class,
            *arguments,
        ]

    def _watch(self, output: IO[str], told: threading.Event) -> None:
        with output:
            for line in output:
                self._log.append(line.rstrip())
                if _STARTED in line:
                    self._has_started = True
                    told.set()
        # It has ended: whoever waits for the start must not wait on.
        told.set()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(self._stop_timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._watcher is not None:
            self._watcher.join()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Name a cluster.

    Attributes:
        id: Its id.
        voters: Its brokers, as they name each other.
    """

    id: str
    voters: Collection[str]


def new_cluster_id() -> str:
    """Return an id for a cluster, as Kafka's own tool makes them."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _copy_dependencies(pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaServerException("The jars of Kafka come by Maven; on Debian: apt-get install -y maven.")
    shutil.copy(pom, folder / "pom.xml")
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'lib'}")
    _run([maven, "-q", "-B", "-f", str(folder / "pom.xml"), *goal], _MAVEN_SECONDS)


def _move(jars: Path, place: Path) -> None:
    try:
        jars.rename(place)
    except OSError:
        if not place.exists():  # Else another process was first, with the same jars.
            raise


def _run(command: list[str], seconds: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise KafkaServerException(f"`{' '.join(command)}` took longer than {seconds:g} s") from None
    if done.returncode:
        raise KafkaServerException(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
