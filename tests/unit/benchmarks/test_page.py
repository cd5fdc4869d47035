from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.page import TITLE, keep, with_section

ONE = "## One\n\nfirst\n\n### Detail\n\nof one"
TWO = "## Two\n\nsecond"


def test_a_section_comes_to_the_end_or_into_its_own_place() -> None:
    both = with_section(with_section("", ONE), TWO)

    assert both == f"{TITLE}\n\n{ONE}\n\n{TWO}\n"
    assert with_section(both, "## One\n\nnew") == f"{TITLE}\n\n## One\n\nnew\n\n{TWO}\n"
    assert with_section(both, TWO) == both


def test_the_other_sections_of_a_page_are_kept(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    keep(ONE, page)
    keep(TWO, page)

    assert page.read_text("utf-8") == f"{TITLE}\n\n{ONE}\n\n{TWO}\n"


@pytest.mark.parametrize(
    ("arguments", "prefix", "told"),
    [
        ("'--enable-optimizations' '--with-lto'", "/usr/local", "optimized"),
        ("'--prefix=/usr'", "/usr", "the distribution's"),
        ("'--prefix=/opt/python'", "/opt/python", page.PLAIN),
        (None, "/opt/python", page.PLAIN),
    ],
)
def test_the_build_of_the_interpreter_is_told(
    arguments: str | None, prefix: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: arguments if name == "CONFIG_ARGS" else None)
    monkeypatch.setattr("sys.base_prefix", prefix)

    assert page.build() == told
    assert page.python().endswith(f"({told})")
