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
        self.port = free_ports(1)[0]

    def start(self) -> None:
        """Start the server, and return when it answers.

        Raises:
            PostgresServerException: it does not answer within 30 s; the message ends with its log.
        """
        if not self._data.exists():
            self._initialise()
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
        """Stop the server, keeping its data; do nothing when it is not running."""
        if (self._data / "postmaster.pid").exists():
            self._run(["pg_ctl", "stop", "-w", "-D", str(self._data), "-m", mode])

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop("immediate")
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

    def _run(self, command: Sequence[str]) -> None:
        # pg_ctl's child keeps what it inherits open, so output goes to a file: a pipe would never end.
        said = self.folder / "commands.log"
        try:
            with said.open("wb") as output:
                subprocess.run(  # noqa: S603 - a fixed list of PostgreSQL's own programs, no shell
                    [str(self._binaries / command[0]), *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                    check=True,
                    **_as_user(self._user),
                )
        except (subprocess.CalledProcessError, OSError) as error:
            words = _tail(said, self.folder / "log")
            raise PostgresServerException(f"{command[0]} failed: {error}\n{words}".rstrip()) from error


class _Identity(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


def _as_user(name: str | None) -> _Identity:
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


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
