"""Write the table of values in the chart's README."""

import json
from itertools import groupby
from pathlib import Path

from tests.chart.documented_values import CHART, DocumentedValue, documented_values

README = CHART / "README.md"
BEGIN = "<!-- values: written by `make docs` -->"
END = "<!-- end of values -->"


def values_table() -> str:
    """Return a table for each section of values.yaml: value, type, default and meaning."""
    parts = []
    for section, values in groupby(documented_values(), key=lambda each: each.section):
        rows = "\n".join(map(_row, values))
        parts.append(f"### {section}\n\n| value | type | default | what it does |\n|---|---|---|---|\n{rows}")
    return "\n\n".join(parts)


def write(readme: Path = README) -> None:
    """Replace what stands between the two marks."""
    before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{readme} has lost its marks; put {BEGIN} and {END} where the table belongs")
    readme.write_text(f"{before}{BEGIN}\n{values_table()}\n{END}{after}", "utf-8")


def _row(value: DocumentedValue) -> str:
    cells = (f"`{value.name}`", value.type, _default(value), value.help)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _default(value: DocumentedValue) -> str:
    if value.required:
        return "**must be set**"
    if value.default in ("", None):
        return "not set" if value.default == "" else "null"
    if isinstance(value.default, dict) and value.default:
        return "see values.yaml"
    return f"`{json.dumps(value.default) if not isinstance(value.default, str) else value.default}`"
