"""Read values.yaml of the chart with its comments: `# -- what the value below means`, `# @section Title`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

CHART = Path(__file__).parents[2] / "helm"

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w.-]*):(?P<rest>.*)$")
_TYPE = re.compile(r"^\((?P<type>[^)]*)\) ")
_SECTION = "# @section "


@dataclass(frozen=True, slots=True)
class DocumentedValue:
    """Describe one value of the chart.

    Attributes:
        path: Its keys, from the outermost.
        help: What it means, in the comment's words.
        type: What it may hold, as a person says it.
        default: What it is when nobody sets it.
        required: Whether an install must set it.
        section: The heading under which it stands.
    """

    path: tuple[str, ...]
    help: str
    type: str
    default: object
    required: bool
    section: str

    @property
    def name(self) -> str:
        """Return the keys, joined by dots."""
        return ".".join(self.path)


def documented_values(chart: Path = CHART) -> tuple[DocumentedValue, ...]:
    """Return every described value, in the file's order.

    Raises:
        ValueError: a value that has no description and holds none that has.
    """
    text = (chart / "values.yaml").read_text("utf-8")
    found = tuple(_read(text.splitlines(), yaml.safe_load(text)))
    undescribed = sorted(_leaves(yaml.safe_load(text), {each.path for each in found}))
    if undescribed:
        raise ValueError(f"values.yaml does not describe {', '.join(undescribed)}; put `# -- ...` above each")
    return found


def _read(lines: list[str], values: object) -> Iterator[DocumentedValue]:
    section, words = "", ""
    path: tuple[str, ...] = ()
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(_SECTION):
            section = stripped.removeprefix(_SECTION)
        elif stripped.startswith("# -- "):
            words = stripped.removeprefix("# -- ")
        elif stripped.startswith("#"):
            words = f"{words} {stripped.lstrip('# ')}" if words else ""
        elif match := _KEY.match(line):
            depth = len(match["indent"]) // 2
            path = (*path[:depth], match["key"])
            if words:
                yield _described(path, words, _at(values, path), section)
            words = ""
        else:
            words = ""


def _described(path: tuple[str, ...], words: str, default: object, section: str) -> DocumentedValue:
    match = _TYPE.match(words)
    hints = [part.strip() for part in match["type"].split(",")] if match else []
    told = next((hint for hint in hints if hint != "required"), None) or _type_of(default)
    text = words[match.end() :] if match else words
    return DocumentedValue(path, text, told, default, "required" in hints, section)


def _type_of(value: object) -> str:
    kinds = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}
    return kinds[type(value)]


def _at(values: object, path: tuple[str, ...]) -> object:
    for key in path:
        values = values[key]  # type: ignore[index]
    return values


def _leaves(values: dict[str, object], described: set[tuple[str, ...]], path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in values.items():
        here = (*path, key)
        if here in described:
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, described, here)
        else:
            yield ".".join(here)
