"""Every test that `docs/guide.md` names as a proof exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUPS = {
    "Metadata",
    "Handlers",
    "Options of the decorators",
    "Validation",
    "Authorization",
    "Exceptions",
    "Context and correlation",
    "Cache",
    "Events",
    "Fluent builders",
    "Configuration",
    "Dependency injection",
    "Actuator",
    "Metrics",
    "Types",
    "The examples",
}
TEXT = (ROOT / "docs" / "guide.md").read_text("utf-8")
ROWS = re.findall(r"^\| (?!behaviour|---)(.+) \| (.+) \|$", TEXT, flags=re.MULTILINE)


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("behaviour", "proof"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_the_proof_of_a_behaviour_exists(behaviour: str, proof: str) -> None:
    named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", proof)

    assert named is not None, f"{behaviour}: name its test as `tests/room/test_x.py::test_y`"
    assert named[2] in functions(ROOT / named[1])


def test_every_group_has_behaviours_and_none_stands_twice() -> None:
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))

    assert set(sections) == GROUPS
    assert all("`tests/" in section for section in sections.values())
    assert len({behaviour for behaviour, _ in ROWS}) == len(ROWS) > 100
