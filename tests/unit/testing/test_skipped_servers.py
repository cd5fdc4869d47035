"""A test that needs a server which is not there is named at the end of the run, and fails in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TESTS = """
import pytest

@pytest.mark.kafka
def test_on_a_server():
    pytest.skip("java not found. To run them: install Java")

@pytest.mark.skip(reason="something else")
def test_without_a_server():
    pass
"""


def run(tmp_path: Path, *arguments: str, **environment: str) -> list[str]:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "test_servers.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}"]
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
    done = subprocess.run(  # noqa: S603 - our own pytest
        [*command, "-p", "no:cacheprovider", *arguments, str(tmp_path)],
        env=clean | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "two workers"])
def test_the_last_lines_say_what_was_not_run_and_how_to_run_it(tmp_path: Path, workers: list[str]) -> None:
    section, reason, outcome = run(tmp_path, *workers)[-3:]
    assert outcome.startswith("2 skipped")
    assert "1 tests on a real kafka were NOT RUN" in section
    assert reason == "Skipped: java not found. To run them: install Java"


def test_in_ci_it_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, CI="true")[-1].startswith("1 failed, 1 skipped")


@pytest.mark.parametrize(
    ("workers", "ended"), [([], "1 skipped, 1 deselected"), (["-n", "2"], "1 skipped")], ids=["alone", "two workers"]
)
def test_what_was_left_out_by_its_mark_is_told_as_well(tmp_path: Path, workers: list[str], ended: str) -> None:
    *_, section, needs, how, outcome = run(tmp_path, "-m", "not (kafka or postgres or redis)", *workers)
    assert outcome.startswith(ended)
    assert "1 tests on real servers were NOT RUN" in section
    assert needs.startswith("1 on kafka, which need Java 17 or newer and Maven")
    assert how == "To run them: make test-servers"


def test_tests_of_the_chart_have_a_recipe_of_their_own(tmp_path: Path) -> None:
    chart = "import pytest\n\n@pytest.mark.chart\ndef test_chart():\n    pass\n"
    (tmp_path / "test_chart.py").write_text(chart)
    assert run(tmp_path, "-m", "not chart")[-2] == "To run them: make test-chart"


def test_what_was_left_out_by_its_name_is_what_was_wanted(tmp_path: Path) -> None:
    assert not any("NOT RUN" in line for line in run(tmp_path, "-m", "not kafka", "-k", "without"))
