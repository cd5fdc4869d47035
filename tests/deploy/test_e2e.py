"""Where no engine is, `make e2e` says so and fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT
from tests.deploy.e2e import MISSING

DEAF = """\
#!/bin/sh
test "$1" = compose && exit 0
echo 'Cannot connect to the daemon' >&2
exit 1
"""


def played(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.deploy.e2e"]
    told = os.environ | {"PATH": str(path)}
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)


def test_without_docker_it_names_it_and_what_runs_without(tmp_path: Path) -> None:
    done = played(tmp_path)

    assert done.returncode == MISSING
    assert "make e2e needs the program `docker`; what runs without: make test-servers" in done.stderr


def test_with_a_client_alone_it_names_the_engine(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(DEAF)
    (tmp_path / "docker").chmod(0o755)

    done = played(tmp_path)

    assert done.returncode == MISSING
    assert "make e2e needs a container engine that answers; " in done.stderr


@pytest.mark.parametrize("name", ["e2e", "test-servers"])
def test_the_recipes_that_it_names_are_there(name: str) -> None:
    assert f"\n{name}: " in (ROOT / "Makefile").read_text("utf-8")
