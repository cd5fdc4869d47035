"""The guide's code blocks, as printed, and what runs them.

`guide_examples.txt` holds every block of the guide in its order, under the heading it stands under. One thing is
changed before a block runs, the name of the package: `cqrs` for `pyfly.cqrs`, `cqrs.container` for `pyfly.container`.
"""

import ast
import inspect
import re
import sys
from pathlib import Path
from types import CodeType, ModuleType

import pytest

PRINTED = (Path(__file__).parent / "guide_examples.txt").read_text("utf-8")


def blocks() -> list[tuple[str, str]]:
    """Return heading and code of every block, the package renamed."""
    parts = re.split(r"^=== (.+)\n", PRINTED, flags=re.MULTILINE)[1:]
    return [(heading, renamed(code.rstrip() + "\n")) for heading, code in zip(parts[::2], parts[1::2], strict=True)]


def renamed(code: str) -> str:
    """Return `code` with our package's name."""
    return code.replace("pyfly.cqrs", "cqrs").replace("pyfly.container", "cqrs.container")


def block(heading: str, place: int = 0) -> str:
    """Return the code under a heading; `place` counts from 0 where there are several blocks."""
    return [code for known, code in blocks() if known == heading][place]


class Examples:
    """Run blocks as modules of their own, each with the names that it takes for granted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    async def run(self, code: str, **given: object) -> ModuleType:
        """Run `code`, which may await at its top level, and return the module it leaves."""
        module = ModuleType("guide_example")
        vars(module).update(given)
        self._monkeypatch.setitem(sys.modules, module.__name__, module)
        outcome = eval(_compiled(code), vars(module))  # noqa: S307 - the guide's own text, from this folder
        if inspect.iscoroutine(outcome):
            await outcome
        return module


def _compiled(code: str) -> CodeType:
    compiled: CodeType = compile(code, "guide_examples.txt", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled
