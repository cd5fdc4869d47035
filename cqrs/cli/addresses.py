"""The addresses of a running service, left in a file for the commands that talk to it."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cqrs.exceptions import ConfigurationException

if TYPE_CHECKING:
    from cqrs.config.settings import ServiceSettings

FILE = "embedded.json"

_logger = logging.getLogger(__name__)
_CONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Say where a running service can be reached.

    Attributes:
        bootstrap_servers: `host:port,...` of its broker.
        registry_url: The REST API of the schema registry that it serves itself, or None.
        pid: The process that wrote this.
        since: When, in ISO 8601.
    """

    bootstrap_servers: str
    registry_url: str | None
    pid: int
    since: str


class AddressFile:
    """Keep the addresses of the service that runs on a state directory.

    Args:
        state_path: The directory.
    """

    def __init__(self, state_path: Path) -> None:
        self.path = state_path / FILE

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep a second service with a broker of its own out of this directory, whose addresses and state would mix.

        Raises:
            ConfigurationException: one runs here already; or the directory cannot be made.
        """
        with self._directory() as directory:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
            except BlockingIOError:
                raise ConfigurationException([self._taken()]) from None
            except OSError as error:  # some network file systems lock no directories
                _logger.warning("%s cannot be locked (%s); start no second service on it", self.path.parent, error)
            yield

    @contextmanager
    def _directory(self) -> Iterator[int]:
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"STATE_PATH: {self.path.parent} cannot be written: {error.strerror}"
            raise ConfigurationException([problem]) from error

    def _taken(self) -> str:
        found = self._read()
        who = f" (process {found.pid}, since {found.since}, broker {found.bootstrap_servers})" if found else ""
        return (
            f"a service with an embedded broker runs on {self.path.parent} already{who}: stop it first, or give this "
            "one a directory of its own with STATE_PATH (and another MANAGEMENT_PORT)"
        )

    def write(self, bootstrap_servers: str, registry_url: str | None) -> None:
        """Leave the addresses of this process's service.

        Raises:
            ConfigurationException: the directory cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        addresses = Addresses(bootstrap_servers, registry_url, os.getpid(), now)
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_name(f"{FILE}.{os.getpid()}")
            draft.write_text(json.dumps(asdict(addresses), indent=2) + "\n", encoding="utf-8")
            draft.replace(self.path)

    def remove(self) -> None:
        """Take the addresses away again, unless another process has written its own meanwhile."""
        found = self._read()
        if found is not None and found.pid == os.getpid():
            self.path.unlink(missing_ok=True)

    def find(self) -> Addresses | None:
        """Return the addresses of the running service, or None when there is no file.

        Raises:
            ConfigurationException: the file is there, but nobody answers: what wrote it has ended.
        """
        found = self._read()
        if found is not None and not _answers(found.bootstrap_servers):
            raise ConfigurationException(
                [
                    f"{self.path} names a broker at {found.bootstrap_servers} (process {found.pid}, since "
                    f"{found.since}), and nobody answers there: that service has ended. Start it again with `run`."
                ]
            )
        return found

    def registry_beside(self, bootstrap_servers: str) -> str | None:
        """Return the registry of the service that runs on this cluster, or None when none has left its addresses."""
        found = self._read()
        return found.registry_url if found is not None and found.bootstrap_servers == bootstrap_servers else None

    def _read(self) -> Addresses | None:
        try:
            return Addresses(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationException([f"{self.path} cannot be read ({error}); remove it."]) from error


def find_cluster(settings: "ServiceSettings", start: str) -> tuple[str, str | None]:
    """Return the broker and the registry to talk to: the given ones, else those of the service running here.

    Args:
        settings: Names the cluster, or the directory in which a running service left its addresses.
        start: What a person types to start the service.

    Raises:
        ConfigurationException: there is neither.
    """
    file, given = AddressFile(settings.state_path), settings.kafka_bootstrap_servers
    if given is not None:
        return given, settings.schema_registry_url or file.registry_beside(given)
    running = file.find()
    if running is None:
        raise ConfigurationException(
            [
                f"There is no broker to talk to: KAFKA_BOOTSTRAP_SERVERS is not set, and no service runs here "
                f"({file.path} is absent). Start one in another terminal: {start}"
            ]
        )
    return running.bootstrap_servers, settings.schema_registry_url or running.registry_url


def _answers(bootstrap_servers: str) -> bool:
    host, _, port = bootstrap_servers.partition(",")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False
