"""The locks fit pyproject.toml: every requirement is pinned inside its range, by hash, and no pin names a server."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "tests" / "requirements.lock"
BENCHMARKS = ROOT / "benchmarks" / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TO_TRY = "run `make lock` and commit the locks"


def pins(lock: Path) -> dict[str, Version]:
    found = re.findall(r"^([\w.-]+)==([^ ;\\]+)", lock.read_text("utf-8"), flags=re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def misfits(requirements: list[str], pinned: dict[str, Version]) -> list[str]:
    """Return the requirements that `pinned` does not satisfy, each with the version it finds."""
    parsed = [Requirement(text) for text in requirements]
    found = [(requirement, pinned.get(canonicalize_name(requirement.name))) for requirement in parsed]
    return [f"{want}: {have}" for want, have in found if have is None or have not in want.specifier]


def test_every_runtime_requirement_is_pinned_inside_its_range() -> None:
    redis = PROJECT["project"]["optional-dependencies"]["redis"]  # so that CACHE_URL needs no other image

    assert not misfits([*PROJECT["project"]["dependencies"], *redis], pins(RUNTIME)), TO_TRY


def test_every_development_requirement_is_pinned_inside_its_range() -> None:
    extras = [requirement for extra in PROJECT["project"]["optional-dependencies"].values() for requirement in extra]

    assert not misfits([*PROJECT["dependency-groups"]["dev"], *extras], pins(RUNTIME) | pins(DEVELOPMENT)), TO_TRY


def test_every_library_that_is_measured_is_pinned_inside_its_range() -> None:
    assert not misfits(PROJECT["dependency-groups"]["benchmarks"], pins(BENCHMARKS)), TO_TRY


def test_both_locks_agree_on_what_they_share() -> None:
    runtime, development = pins(RUNTIME), pins(DEVELOPMENT)

    assert {name: development[name] for name in runtime.keys() & development.keys()}.items() <= runtime.items(), TO_TRY


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, BENCHMARKS], ids=["runtime", "development", "benchmarks"])
def test_every_pin_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text("utf-8")
    entries = re.split(r"\n(?=[\w.-]+==)", text)[1:]

    assert len(entries) == len(pins(lock)) > 10
    assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert "://" not in text
    assert not re.search(r"^--(index|extra|find|trusted)", text, flags=re.MULTILINE)


def test_a_requirement_outside_its_pin_is_found() -> None:
    pinned = {"pydantic": Version("2.9")}

    assert misfits(["pydantic>=2.10,<3", "Absent>=1"], pinned) == ["pydantic<3,>=2.10: 2.9", "Absent>=1: None"]
    assert not misfits(["Pydantic[email]>=2"], pinned)
