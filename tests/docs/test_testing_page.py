"""The programs of docs/testing.md are a team's own repository: in an empty folder, as printed, its tests pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
LIMIT_SECONDS = 240


def printed() -> dict[str, str]:
    """Return the text of every file that the page prints, by its name."""
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    return dict(BLOCK.findall(page))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"warehouse/__init__.py": "", **printed()}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest there as a team does, with nothing of this repository but the package."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KAFKA_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "."]
    return subprocess.run(  # noqa: S603 - our own page
        command,
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_the_programs_of_the_page_run_as_printed(folder: Path) -> None:
    tests = {name for name in printed() if name.startswith("test_")}

    ended = run(folder)

    assert ended.returncode == 0, ended.stdout[-6_000:] + ended.stderr[-2_000:]
    passed = set(re.findall(r"^PASSED (\w+\.py)::", ended.stdout, flags=re.MULTILINE))
    assert passed == tests, "every file of tests was run"
    table = re.search(r"^ *40 +10 +\d+ +0 +\d+ +0 +0$", ended.stdout, flags=re.MULTILINE)
    assert table, "the verdict is printed as the page shows it"


def test_the_service_of_the_page_is_configured_from_the_environment(folder: Path) -> None:
    told = {"KAFKA_GROUP_ID": "another", "TOPICS": '{"a": 1}', "PYTHONPATH": str(ROOT)}
    program = "from warehouse.__main__ import settings; print(settings({}).kafka_group_id, settings({}).topics)"

    ended = subprocess.run(  # noqa: S603 - our own page
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.stdout == "another {'a': 1}\n", ended.stderr


def test_the_page_lists_every_point_fault_and_suite() -> None:
    from cqrs.testing import faults
    from cqrs.testing.crash_points import CrashPoint

    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    kinds = [each.__name__ for each in faults.Fault.__subclasses__()]
    contracts = (ROOT / "cqrs" / "testing" / "contracts").glob("*.py")
    suites = [name for path in contracts for name in re.findall(r"class (\w+)\(Contract\)", path.read_text("utf-8"))]

    assert len(suites) == 7
    assert not [each for each in (*(point.value for point in CrashPoint), *kinds, *suites) if f"`{each}`" not in page]
