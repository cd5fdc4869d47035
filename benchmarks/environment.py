"""The environment of the other libraries: python-cqrs is imported under our own name, so they live apart from us."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers"
LOCK = ROOT / "benchmarks" / "requirements.lock"

# mediatr is published as source alone; its hash is in the lock as well.
_ONLY = ["--require-hashes", "--only-binary", ":all:", "--no-binary", "mediatr"]


class EnvironmentException(Exception):
    """Report that the other libraries cannot be installed here."""


def peers_python() -> Path:
    """Return the Python beside which the other libraries are installed, and install them first when it is not there.

    Raises:
        EnvironmentException: it cannot be made; says why and what to try.
    """
    folder = peers_folder()
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        try:
            _make(folder, python)
        except (OSError, subprocess.CalledProcessError) as error:
            raise EnvironmentException(
                f"The other libraries could not be installed into {folder}: {error}. "
                "The package index must be reached once; --own measures without them."
            ) from error
        (folder / ".complete").touch()
    return python


def peers_folder() -> Path:
    """Return the folder of the environment: one for each version of Python and of the lock.

    Raises:
        EnvironmentException: the cache folder lies in the checkout.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve()
    if cache.is_relative_to(ROOT):
        raise EnvironmentException(
            f"The cache folder {cache} lies in the checkout, where the other libraries must not be; "
            "let XDG_CACHE_HOME name a folder outside of it."
        )
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return cache / "cqrs-service-template" / f"benchmarks-{platform.python_version()}-{lock}"


def _make(folder: Path, python: Path) -> None:
    sys.stderr.write(f"Installing the other libraries into {folder}, once\n")
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *_ONLY, "-r", LOCK], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_ONLY, "-r", LOCK], check=True)
