"""What the documents name exists, and nothing in the project names a machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNTRACKED = re.compile(
    r"(^|/)(\.(venv.*|local|git|env|\w+_cache|hypothesis|coverage.*)|__pycache__|dist|[\w-]+\.egg-info)(/|$)"
)
ROOMS = "cqrs|service|schemas|tests|docs"
NAMED_PATH = re.compile(rf"(?<![\w./-])((?:{ROOMS}|\.ci)/[\w./*-]*[\w*/])(?:::(\w+))?")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
RECIPE = re.compile(r"(?:^|`)make ((?:[A-Z]+=\S+ )*)([a-z][a-z0-9-]*)", re.MULTILINE)

# Written so that this file does not match its own patterns.
REGISTRIES = r"--(?:extra-)?index-url|--find-[l]inks|https?://[\w.-]+/(?:simple|packages|maven2)\b"
MACHINE_PATHS = r"(?<![\w./-])/(?:root|home|work|workspace|Users|mnt)/\w"
MACHINE = re.compile(f"{REGISTRIES}|{MACHINE_PATHS}")


def tracked() -> list[Path]:
    found = (path for path in ROOT.rglob("*") if not UNTRACKED.search(path.relative_to(ROOT).as_posix()))
    return sorted(path for path in found if path.is_file())


DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def slugs(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as the usual hosts make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead_links(document: Path) -> Iterator[str]:
    for link in LINK.findall(document.read_text("utf-8")):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in slugs(target)):
            yield link


def dead_paths(text: str) -> list[str]:
    """Return the paths that stand in `text` as code and do not exist; a star stands for what it does in a shell."""
    named = {found[0] for code in CODE.findall(text) for found in NAMED_PATH.findall(code)}
    return sorted(path for path in named if not any(ROOT.glob(path.rstrip("/"))))


def recipes_named(text: str) -> set[str]:
    return {name for code in CODE.findall(text) for _, name in RECIPE.findall(code)}


def recipes() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
class TestDocument:
    def test_its_links_lead_somewhere(self, document: Path) -> None:
        assert not list(dead_links(document))

    def test_the_paths_that_it_names_exist(self, document: Path) -> None:
        assert not dead_paths(document.read_text("utf-8"))

    def test_the_recipes_that_it_names_exist(self, document: Path) -> None:
        assert recipes_named(document.read_text("utf-8")) <= recipes()


def test_the_documents_are_all_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"} <= {
        shown(path) for path in DOCUMENTS
    }


def test_the_recipes_describe_themselves() -> None:
    described = re.findall(r"^([a-z][a-z0-9-]*):.*## \S", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)

    assert set(described) == recipes() >= {"setup", "demo", "run", "test", "lint"}


def test_nothing_names_a_machine_or_a_package_index() -> None:
    texts = {shown(path): path.read_bytes().decode("utf-8", errors="ignore") for path in tracked()}

    assert len(texts) > 50
    assert not {path: found[0] for path, text in texts.items() if (found := MACHINE.search(text))}


def test_decisions_are_numbered_and_have_the_same_four_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text("utf-8")
        assert re.match(rf"# {int(path.name[:4])}\. \S.*\n\nStatus: (accepted|replaced by \d+)\n", text), path.name
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name


class TestTheChecksThemselves:
    """Each check is shown what it must find."""

    def test_a_path_is_found_in_code_and_only_there(self) -> None:
        text = "`cqrs/absent.py`, `tests/docs/x.py::test_x`, `cqrs/**/*.py`, docs/in-prose\n```\nx -> .ci/no\n```"

        assert dead_paths(text) == [".ci/no", "cqrs/absent.py", "tests/docs/x.py"]

    def test_a_recipe_is_found_in_code_and_only_there(self) -> None:
        assert recipes_named("make haste; `make demo`, `make PYTHON=x test`\n```sh\nmake all # now\n```") == {
            "demo",
            "test",
            "all",
        }

    def test_a_dead_link_is_found(self, tmp_path: Path) -> None:
        document = tmp_path / "a.md"
        document.write_text("# One two\n[a](a.md#one-two) [b](#three) [c](b.md) [d](https://example.org/x)", "utf-8")

        assert list(dead_links(document)) == ["#three", "b.md"]

    @pytest.mark.parametrize("text", ["see /ho" + "me/me/x", "https://host.example" + "/simple", "--index-" + "url x"])
    def test_a_machine_is_found(self, text: str) -> None:
        assert MACHINE.search(text)

    @pytest.mark.parametrize("text", ["tests/work/x", "http://host/home/x", "/etc/ssl", "cqrs/root/x"])
    def test_other_paths_are_not(self, text: str) -> None:
        assert not MACHINE.search(text)
