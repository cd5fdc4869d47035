import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cqrs.container import Container, is_service
from cqrs.exceptions import ConfigurationException
from cqrs.scanning import scan


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "scanned_shop"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "inner" / "__init__.py").write_text("")
    (root / "__main__.py").write_text("raise SystemExit('run by scanning')")
    (root / "b.py").write_text("from cqrs.container import service\n@service\nclass B: ...\nclass Plain: ...\n")
    (root / "inner" / "a.py").write_text(
        "from cqrs.decorators import command_handler\nfrom scanned_shop.b import B\n"
        "@command_handler\nclass A:\n    def __init__(self, b: B) -> None: self.b = b\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.startswith("scanned_shop")]:
        del sys.modules[name]


def test_packages_are_scanned_with_everything_below_them(package: Path) -> None:
    found = scan(["scanned_shop", "scanned_shop.inner"], is_service)
    assert [kind.__qualname__ for kind in found] == ["B", "A"]


def test_modules_serve_as_well_as_names_and_the_caller_says_what_is_wanted(package: Path) -> None:
    module = importlib.import_module("scanned_shop.b")
    assert [kind.__name__ for kind in scan([module], lambda kind: True)] == ["B", "Plain"]
    assert scan([], lambda kind: True) == ()


@pytest.mark.asyncio
async def test_the_container_makes_what_scanning_finds(package: Path) -> None:
    made = await Container(packages=["scanned_shop"]).start()
    assert [type(one).__name__ for one in made] == ["B", "A"]


def test_modules_that_cannot_be_imported_are_all_named_once(package: Path) -> None:
    (package / "c.py").write_text("import nowhere_to_be_found")
    (package / "d.py").write_text("1 / 0")
    with pytest.raises(ConfigurationException) as refused:
        scan(["scanned_shop", "scanned_shop.d"], is_service)
    first, second = refused.value.problems
    assert first.startswith("scanned_shop.c cannot be imported: ModuleNotFoundError")
    assert second == "scanned_shop.d cannot be imported: ZeroDivisionError: division by zero"
