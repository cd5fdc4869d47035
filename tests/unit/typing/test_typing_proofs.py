"""The types are real: both checkers accept the proofs, and both refuse the same proofs told wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
PROOFS = Path(__file__).parent / "results_of_buses.py"

WRONG = {
    'commands.send(CreateOrder("c")), str)': 'commands.send(CreateOrder("c")), int)',
    'queries.query(GetOrder("o")), Order | None)': 'queries.query(GetOrder("o")), str)',
    "registry.register_command_handler(CreateOrderHandler())": "registry.register_command_handler(GetOrderHandler())",
    "command: CreateOrder) -> str:": "command: CreateOrder) -> int:",
}


def mypy(path: Path) -> list[int]:
    """Return the lines that mypy --strict complains of."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--output=json",
        "--config-file",
        str(PROJECT / "pyproject.toml"),
        str(path),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line)["line"] for line in done.stdout.splitlines() if line.startswith("{")]


def basedpyright(path: Path) -> list[int]:
    """Return the lines that basedpyright complains of."""
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--level", "error", str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] >= 1, done.stdout
    return [each["range"]["start"]["line"] + 1 for each in found["generalDiagnostics"] if each["severity"] == "error"]


@pytest.mark.parametrize("checker", [mypy, basedpyright])
def test_the_proofs_hold_and_wrong_ones_do_not(checker: Callable[[Path], list[int]], tmp_path: Path) -> None:
    assert checker(PROOFS) == []

    lines = PROOFS.read_text("utf-8").splitlines()
    wrong = tmp_path / "told_wrong.py"
    spoiled = {
        number: line.replace(right, false)
        for number, line in enumerate(lines, 1)
        for right, false in WRONG.items()
        if right in line
    }
    wrong.write_text("\n".join(spoiled.get(number, line) for number, line in enumerate(lines, 1)), "utf-8")
    assert len(spoiled) >= len(WRONG)
    assert set(checker(wrong)) >= set(spoiled)
