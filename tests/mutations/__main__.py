"""Break the code on purpose, in many ways, and see that the tests notice: `python -m tests.mutations [WORD...]`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.table import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("cqrs", "service", "schemas", "tests", "benchmarks", "pyproject.toml", "README.md", "docs")
LIMIT_SECONDS = 45.0
UNBROKEN_SECONDS = 300.0
AT_ONCE = 2
FAILED = 1
"""The exit code with which pytest says that tests failed; any other one says that they did not run as they should."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what the tests made of one mutation.

    Attributes:
        noticed: Whether they failed as they should.
        text: By which test, or what went wrong.
        seconds: How long it took.
    """

    noticed: bool
    text: str
    seconds: float


def mutate(text: str, mutation: Mutation) -> str:
    """Return `text` with the mutation in it.

    Raises:
        ValueError: what it replaces is not there exactly once, so that it would test nothing.
    """
    if text.count(mutation.found) != 1:
        raise ValueError(
            f"{mutation.path} holds {text.count(mutation.found)} times what {mutation.name!r} replaces; "
            "mend its entry in tests/mutations/table.py"
        )
    return text.replace(mutation.found, mutation.replaced)


def copy_project(folder: Path) -> None:
    """Copy what the tests need into `folder`."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".local"))
        else:
            shutil.copy2(source, target)


def run_tests(folder: Path, tests: Sequence[str], limit_seconds: float) -> tuple[int | None, str]:
    """Run `tests` in `folder` until the first failure, and return the exit code (None past the limit) and the words."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "PYTHONPATH")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return ended.returncode, ended.stdout + ended.stderr


def judge(mutation: Mutation) -> Verdict:
    """Apply `mutation` to a copy of the project and run its tests there."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_project(folder)
        path = folder / mutation.path
        try:
            path.write_text(mutate(path.read_text("utf-8"), mutation), "utf-8")
        except ValueError as error:
            return Verdict(noticed=False, text=str(error), seconds=0.0)
        code, words = run_tests(folder, mutation.tests, LIMIT_SECONDS)
    seconds = time.monotonic() - begun
    if code is None:
        return Verdict(mutation.hangs, f"hung for {LIMIT_SECONDS:g} s", seconds)
    if code == FAILED:
        return Verdict(noticed=True, text=first_failure(words), seconds=seconds)
    return Verdict(noticed=False, text=f"pytest ended with {code}: {words[-600:]}", seconds=seconds)


def first_failure(words: str) -> str:
    """Return the name of the test that failed, from pytest's summary."""
    failed = [line for line in words.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].split(" - ")[0].removeprefix("FAILED ") if failed else "a test"


def chosen(words: Sequence[str]) -> list[Mutation]:
    """Return the mutations whose name or promise holds one of `words`; all without words."""
    return [each for each in MUTATIONS if not words or any(word in f"{each.name} {each.promise}" for word in words)]


def main(words: Sequence[str]) -> int:
    """Judge the mutations, and return 1 when one of them went unnoticed."""
    mutations = chosen(words)
    tests = sorted({test for each in mutations for test in each.tests})
    print(f"{len(mutations)} mutations; first the {len(tests)} test files as they are", flush=True)
    code, output = run_tests(ROOT, tests, UNBROKEN_SECONDS)
    if code != 0:
        print(f"the tests fail without any mutation:\n{output[-3000:]}")
        return 1
    unnoticed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutation, verdict in zip(mutations, pool.map(judge, mutations), strict=True):
            unnoticed += not verdict.noticed
            word = "noticed" if verdict.noticed else "UNNOTICED"
            print(
                f"{word:<10} {verdict.seconds:5.1f} s  {mutation.promise}: {mutation.name}\n{'':20}{verdict.text}",
                flush=True,
            )
    print(f"{len(mutations) - unnoticed} of {len(mutations)} mutations were noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
