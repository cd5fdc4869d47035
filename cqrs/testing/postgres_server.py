"""A real PostgreSQL server for tests, from the binaries installed on this machine; no container."""

import getpass
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from cqrs.exceptions import CqrsException
from cqrs.testing.free_ports import free_ports
from cqrs.testing.server_block import ServerBlock

_INSTALLED = "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"
# A test's data need not survive a power failure. It survives a crash of the server, as in production.
_FAST = ("fsync=off", "full_page_writes=off")
_START_SECONDS = 30
_SUPERUSER = "postgres"

StopMode = Literal["fast", "immediate"]
"""How a server stops: `fast` rolls back what is open and shuts down in order, `immediate` is a crash."""


class PostgresServerException(CqrsException):
    """Report that the server's binaries are missing or that it did not start, with its own words."""


def find_postgres() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl` of the newest PostgreSQL installed, or None."""
    on_path = shutil.which("initdb")
    if on_path is not None and _is_complete(Path(on_path).resolve().parent):
        return Path(on_path).resolve().parent
    folders = (folder for pattern in _INSTALLED for folder in Path("/").glob(pattern.lstrip("/")))
    return max(filter(_is_complete, folders), key=_version, default=None)


class PostgresServer(ServerBlock):
    """Start a PostgreSQL server on a free port of 127.0.0.1, with its data in a temporary folder.

    It may be stopped and started again on the same port, with its data, to see how a service lives through it::

        with PostgresServer() as server:
            engine = create_engine(server.url())
            ...
            server.stop("immediate")     # the database is away
            server.start()               # and back

    PostgreSQL refuses to run as root; there, it runs as the user `postgres`, else `nobody`.

    Attributes:
        folder: Where its data and its log are, until it is closed.
        port: Where it listens.

    Raises:
        PostgresServerException: no binaries are installed, or the server does not start.
    """

    def __init__(self, binaries: Path | None = None) -> None:
        found = binaries or find_postgres()
        if found is None:
            raise PostgresServerException(
                "No PostgreSQL server is installed; on Debian: apt-get install -y postgresql, elsewhere put the folder "
                "of initdb on the PATH."
            )
        self._binaries = found
        self._user = _unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self.folder / "data"
        self._pid_file = self._data / "postmaster.pid"
        self._said = self.folder / "commands.log"
        self.port = free_ports(1)[0]

    def start(self) -> None:
        """Start the server, and return when it answers; harmless when it runs.

        Raises:
            PostgresServerException: it does not answer within 30 s; the message ends with its log.
        """
        if self._is_running():
            return
        if not self._data.exists():
            self._initialise()
        for left in (self._pid_file, *self.folder.glob(".s.PGSQL.*.lock")):
            left.unlink(missing_ok=True)  # by one that died: while its zombie is there, PostgreSQL takes it for alive
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self.folder}",
            *_FAST,
        )
        options = " ".join(f"-c {setting}" for setting in settings)
        log = str(self.folder / "log")
        self._run(["pg_ctl", "start", "-w", "-t", str(_START_SECONDS), "-D", str(self._data), "-l", log, "-o", options])

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server, keeping its data; do nothing when it is not running.

        Raises:
            PostgresServerException: it does not stop; the message ends with its log.
        """
        if self._is_running():
            self._run(["pg_ctl", "stop", "-w", "-D", str(self._data), "-m", mode])

    def close(self) -> None:
        """Stop the server and remove its data; harmless when called again, and when it died by itself.

        Raises:
            PostgresServerException: it does not stop; its data are gone all the same.
        """
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = _SUPERUSER, driver: str = "postgresql+asyncpg") -> str:
        """Return the SQLAlchemy URL of a database on this server; it needs no password."""
        return f"{driver}://{_SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def _initialise(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run(
            ["initdb", "-D", str(self._data), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C", "-N"]
        )

    def _is_running(self) -> bool:
        # One that was killed leaves its pid file, and a zombie that pg_ctl takes for it where nobody reaps orphans.
        if not self._pid_file.exists() or self._call(["pg_ctl", "status", "-D", str(self._data)]) != 0:
            return False
        return not _is_zombie(self._pid_file.read_text().partition("\n")[0])

    def _run(self, command: Sequence[str]) -> None:
        if code := self._call(command):
            raise self._failed(command, f"it ended with {code}")

    def _call(self, command: Sequence[str]) -> int:
        # pg_ctl's child keeps what it inherits open, so output goes to a file: a pipe would never end.
        try:
            with self._said.open("wb") as output:
                ended = subprocess.run(  # noqa: S603 - a fixed list of PostgreSQL's own programs, no shell
                    [str(self._binaries / command[0]), *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                    check=False,
                    **_as_user(self._user),
                )
        except OSError as error:
            raise self._failed(command, str(error)) from error
        return ended.returncode

    def _failed(self, command: Sequence[str], why: str) -> PostgresServerException:
        words = _tail(self._said, self.folder / "log")
        return PostgresServerException(f"{command[0]} failed: {why}\n{words}".rstrip())


class _Identity(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


def _as_user(name: str | None) -> _Identity:
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def _is_zombie(pid: str) -> bool:
    status = Path("/proc", pid, "stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def _is_complete(folder: Path) -> bool:
    return all((folder / program).exists() for program in ("initdb", "pg_ctl", "postgres"))


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(folder)))


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in (_SUPERUSER, "nobody"):
        if name in known:
            return name
    raise PostgresServerException(f"PostgreSQL does not run as {getpass.getuser()}, and there is no user nobody.")


def _tail(*files: Path) -> str:
    return "\n".join(file.read_text(errors="replace")[-2000:] for file in files if file.exists())
