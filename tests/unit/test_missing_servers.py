"""With CI=true, a test that skips itself for want of a server is a failure; elsewhere it is a skip."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INNER = """
import pytest

@pytest.mark.postgres
def test_needs_a_server(): pytest.skip("no PostgreSQL")

def test_skips_for_another_reason(): pytest.skip("not on this platform")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed, 1 skipped"), ("", "2 skipped")])
def test_a_missing_server_is_a_failure_only_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = postgres\npythonpath = {ROOT}", "utf-8")
    (tmp_path / "test_inner.py").write_text(INNER, "utf-8")
    monkeypatch.setenv("CI", ci)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    assert outcome in done.stdout
    assert ("with CI=true this may not be skipped" in done.stdout) == bool(ci)
